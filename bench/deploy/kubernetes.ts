/**
 * The Helm chart and the manifests of KServe, checked with the real helm and kubeconform against the schemas of Kubernetes,
 * KEDA, the Prometheus operator and KServe. Programs and schemas come from Go modules of pinned versions, once, into bench/.tools.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { root } from '../peer.js';
import { run } from './tools.js';

const tools = join(root, 'bench/.tools');
const schemas = join(tools, 'schemas');
const chart = join(root, 'deploy/helm/mkd');

const kubernetesVersion = '1.34.1';

const programs = {
  helm: 'helm.sh/helm/v3/cmd/helm@v3.18.6',
  kubeconform: 'github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0',
} as const;

/** Where kinds are described: the file of a module, by its path in it. */
const sources = {
  kubernetes: { module: `k8s.io/kubernetes@v${kubernetesVersion}`, file: 'api/openapi-spec/swagger.json' },
  keda: { module: 'github.com/kedacore/keda/v2@v2.18.1', folder: 'config/crd/bases' },
  prometheus: {
    module: 'github.com/prometheus-operator/prometheus-operator@v0.92.1',
    folder: 'example/prometheus-operator-crd',
  },
  kserve: { module: 'github.com/kserve/kserve@v0.16.0', folder: 'config/crd/full' },
} as const;

/** Returns why nothing can be checked here; undefined if it can. */
export function noGo(): string | undefined {
  const { status, stdout } = spawnSync('go', ['version'], { encoding: 'utf8' });
  const [, minor = '0'] = /go1\.(\d+)/.exec(stdout ?? '') ?? [];
  return status === 0 && Number(minor) >= 24
    ? undefined
    : 'Go 1.24 or newer is not installed, which builds helm and kubeconform';
}

/** Checks the chart: its form, what it refuses, and every object that it makes for each file of values. */
export async function checkChart(): Promise<string> {
  await prepare();
  helm('lint', '--strict', chart);
  const alerts = await readFile(join(root, 'docker/alerts.yml'), 'utf8');
  if ((await readFile(join(chart, 'files/alerts.yml'), 'utf8')) !== alerts) {
    throw new Error('deploy/helm/mkd/files/alerts.yml differs from docker/alerts.yml: copy it');
  }
  let objects = 0;
  const files = (await readdir(join(chart, 'ci'))).sort();
  for (const file of files) {
    helm('lint', '--strict', chart, '--values', join(chart, 'ci', file));
    const manifest = helm(
      'template',
      'mkd',
      chart,
      '--kube-version',
      kubernetesVersion,
      '--namespace',
      'inspection',
      '--values',
      join(chart, 'ci', file),
    );
    const name = join(tools, `rendered-${file}`);
    await writeFile(name, manifest);
    objects += validate(name);
    checkDrain(manifest);
  }
  const refused: readonly (readonly [string, RegExp])[] = [
    ['replicas=-1', /replicas/],
    ['provider=gpu', /provider/],
    ['replica=3', /replica/],
    ['results.url=localhost:6379', /results/],
    ['detectors.existingClaim=a,detectors.bucket=s3://b', /set one of them/],
    ['queue.url=redis://a:1,queue.secretName=b', /queue\.url and queue\.secretName: set one/],
    ['queue.url=redis://a:1,results.url=redis://a:1', /need a Redis each/],
    ['provider=cuda', /provider cuda needs gpus/],
    ['provider=cpu,gpus=1', /provider cpu uses no card/],
    ['gpus=4', /gpus/],
    ['drain.seconds=700', /drain/],
    ['queue.name=a:b', /queue/],
    ['podDisruptionBudget.maxUnavailable=0', /maxUnavailable/],
    ['ingress.enabled=true,ingress.hosts={https://a.b/}', /ingress/],
    ['queue.url=redis://a:1/0,results.url=redis://a:1/1', /need a Redis each/],
    ['detectors.existingClaim=a,detectors.readOnly=false,replicas=2', /needs replicas 1/],
    ['autoscaling.kind=keda', /needs metrics\.serviceMonitor/],
    ['worker.autoscaling.enabled=true', /needs worker\.enabled/],
    ['ingress.enabled=true', /needs ingress\.hosts/],
    ['drain.preStopSeconds=40', /drain\.seconds must be more/],
    ['autoscaling.kind=hpa,autoscaling.minReplicas=20', /minReplicas must not be more/],
    ['autoscaling.kind=hpa,autoscaling.minReplicas=0', /must be at least 1/],
    ['worker.enabled=true', /workers need queue/],
    [
      'worker.enabled=true,queue.secretName=a,worker.autoscaling.enabled=true',
      /needs worker\.autoscaling\.redisAddress/,
    ],
    [
      'worker.enabled=true,queue.url=redis://:secret@a:1,worker.autoscaling.enabled=true',
      /needs worker\.autoscaling\.authenticationRef/,
    ],
    [
      'worker.enabled=true,queue.url=redis://a:1,worker.autoscaling.enabled=true,worker.autoscaling.minReplicas=50',
      /minReplicas must not be more/,
    ],
  ];
  for (const [set, message] of refused) {
    const { status, stderr } = spawnSync(
      join(tools, 'helm'),
      ['template', 'mkd', chart, '--kube-version', kubernetesVersion, '--set', set],
      {
        encoding: 'utf8',
      },
    );
    if (status === 0 || !message.test(stderr))
      throw new Error(`--set ${set} is not refused as it should be: ${stderr}`);
  }
  return `${objects} objects of ${files.length} files of values are valid, ${refused.length} wrong values are refused`;
}

/** Checks the manifests of KServe. */
export async function checkKServe(): Promise<string> {
  await prepare();
  const folder = join(root, 'deploy/kserve');
  const names = (await readdir(folder)).filter((name) => name.endsWith('.yaml'));
  const objects = names.reduce((sum, name) => sum + validate(join(folder, name)), 0);
  return `${objects} objects are valid`;
}

function helm(...args: readonly string[]): string {
  return run(join(tools, 'helm'), args);
}

/** @returns the number of objects. @throws Error naming the first that is invalid. */
function validate(file: string): number {
  const location = join(schemas, '{{.Group}}-{{.ResourceAPIVersion}}-{{.ResourceKind}}.json');
  const args = ['-strict', '-summary', '-output', 'json', '-schema-location', location, file];
  const { summary } = JSON.parse(run(join(tools, 'kubeconform'), args)) as {
    summary: { valid: number; invalid: number; errors: number; skipped: number };
  };
  if (summary.invalid + summary.errors + summary.skipped > 0 || summary.valid === 0) {
    throw new Error(`${file}: ${JSON.stringify(summary)}`);
  }
  return summary.valid;
}

/** Pods must have time for the pause before the stop signal and for what they have accepted. */
function checkDrain(manifest: string): void {
  interface Pod {
    readonly terminationGracePeriodSeconds: number;
    readonly containers: readonly [
      {
        readonly args: readonly string[];
        readonly lifecycle?: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
      },
    ];
  }
  const deployments = parseAllDocuments(manifest)
    .map((document) => document.toJS() as { kind?: string; spec: { template: { spec: Pod } } } | null)
    .filter((object) => object?.kind === 'Deployment');
  if (deployments.length === 0) throw new Error('there is no Deployment');
  for (const deployment of deployments) {
    const pod = deployment?.spec.template.spec as Pod;
    const [{ args, lifecycle }] = pod.containers;
    const drain = Number(/\d+/.exec(args.find((arg) => arg.startsWith('--drain-ms')) ?? '')?.[0]) / 1000;
    const pause = Number(lifecycle?.preStop.exec.command.at(-1) ?? 0);
    if (!(drain > pause && pod.terminationGracePeriodSeconds > drain + pause)) {
      throw new Error(
        `a pod has ${pod.terminationGracePeriodSeconds} s for a pause of ${pause} s and a drain of ${drain} s`,
      );
    }
  }
}

/** Builds the programs and writes the schemas, unless they are there. */
async function prepare(): Promise<void> {
  await mkdir(schemas, { recursive: true });
  for (const [name, source] of Object.entries(programs)) {
    if (existsSync(join(tools, name))) continue;
    console.log(`building ${name}, once; this takes minutes`);
    const { status, stderr } = spawnSync('go', ['install', source], {
      env: { ...process.env, GOBIN: tools },
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`${source} cannot be built: ${stderr}`);
  }
  if (existsSync(join(schemas, 'done'))) return;
  await writeKinds();
  for (const source of [sources.keda, sources.prometheus, sources.kserve]) {
    await writeCustomKinds(join(moduleFolder(source.module), source.folder));
  }
  await writeFile(join(schemas, 'done'), '');
}

function moduleFolder(module: string): string {
  const { Dir } = JSON.parse(run('go', ['mod', 'download', '-json', module], tools)) as { Dir: string };
  return Dir;
}

type Schema = Readonly<Record<string, unknown>>;

/** Writes the kinds of Kubernetes itself. */
async function writeKinds(): Promise<void> {
  const { module, file } = sources.kubernetes;
  const { definitions } = JSON.parse(await readFile(join(moduleFolder(module), file), 'utf8')) as {
    definitions: Record<string, Schema>;
  };
  const resolve = (schema: unknown, within: readonly string[]): unknown => {
    if (Array.isArray(schema)) return schema.map((part) => resolve(part, within));
    if (typeof schema !== 'object' || schema === null) return schema;
    const { $ref } = schema as { $ref?: string };
    if ($ref === undefined) {
      return strict(
        Object.fromEntries(Object.entries(schema).map(([key, part]) => [key, resolve(part, within)])),
      );
    }
    const name = $ref.replace('#/definitions/', '');
    if (name.endsWith('.IntOrString') || name.endsWith('.Quantity'))
      return { type: ['integer', 'number', 'string'] };
    // Kinds that contain themselves are not among ours.
    return within.includes(name) ? {} : resolve(definitions[name], [...within, name]);
  };
  for (const [name, definition] of Object.entries(definitions)) {
    const kinds = (definition['x-kubernetes-group-version-kind'] ?? []) as {
      group: string;
      version: string;
      kind: string;
    }[];
    const [only, ...more] = kinds;
    if (!only || more.length > 0 || !ours.has(only.kind)) continue;
    await writeSchema(only.group, only.version, only.kind, resolve(definition, [name]));
  }
}

const ours: ReadonlySet<string> = new Set(
  'Deployment Service ServiceAccount PodDisruptionBudget NetworkPolicy Ingress HorizontalPodAutoscaler'.split(
    ' ',
  ),
);

/** Writes the kinds of a folder of CustomResourceDefinitions. */
async function writeCustomKinds(folder: string): Promise<void> {
  for (const name of (await readdir(folder)).filter((file) => file.endsWith('.yaml'))) {
    const definition = parse(await readFile(join(folder, name), 'utf8')) as {
      kind?: string;
      spec: {
        group: string;
        names: { kind: string };
        versions: { name: string; schema: { openAPIV3Schema: Schema } }[];
      };
    };
    if (definition.kind !== 'CustomResourceDefinition') continue;
    const { group, names, versions } = definition.spec;
    for (const { name: version, schema } of versions) {
      await writeSchema(group, version, names.kind, strictly(schema.openAPIV3Schema));
    }
  }
}

function strictly(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(strictly);
  if (typeof schema !== 'object' || schema === null) return schema;
  if (Reflect.get(schema, 'x-kubernetes-int-or-string')) return { type: ['integer', 'number', 'string'] };
  return strict(Object.fromEntries(Object.entries(schema).map(([key, part]) => [key, strictly(part)])));
}

/** Refuses what is not described: a misspelled name would be ignored by a cluster. */
function strict(schema: Record<string, unknown>): Schema {
  const isObject =
    typeof schema.properties === 'object' && !Array.isArray(schema.properties) && schema.type === 'object';
  if (!isObject || schema['x-kubernetes-preserve-unknown-fields']) return schema;
  return { additionalProperties: false, ...schema };
}

async function writeSchema(group: string, version: string, kind: string, schema: unknown): Promise<void> {
  // kubeconform calls the core group by its version.
  const name = `${group || version}-${version}-${kind.toLowerCase()}.json`;
  await writeFile(join(schemas, name), JSON.stringify(schema));
}
