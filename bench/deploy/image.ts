/** The image without an engine: the linter of Dockerfiles, what its stages run in a clean folder, and what is in it. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { freePort } from '../../test/support/free-port.js';
import { peerPython, root } from '../peer.js';
import { Running, run } from './tools.js';

/** Licenses of what is in the image. sharp's library of image formats is a shared library of its own, as the LGPL asks. */
const allowed = new Set([
  ...['MIT', 'Apache-2.0', 'ISC', 'BSD-3-Clause', '0BSD', 'LGPL-3.0-or-later'],
  ...['(MIT OR CC0-1.0)', '(Apache-2.0 AND BSD-3-Clause)'],
]);

/** hadolint from PyPI, with all its rules. */
export function lintDockerfile(): string {
  const hadolint = join(dirname(peerPython('hadolint.txt')), 'hadolint');
  run(hadolint, ['Dockerfile'], root);
  return `${run(hadolint, ['--version']).trim()} finds nothing`;
}

/** Runs what the stages of the CPU image run, on the files that git knows, and starts the result. */
export async function runStages(folder: string): Promise<string> {
  const build = join(folder, 'build');
  const app = join(folder, 'app');
  const dockerfile = await readFile(join(root, 'Dockerfile'), 'utf8');
  const [stage = ''] = /^FROM \S+ AS build\n[\s\S]*?(?=^FROM)/m.exec(dockerfile) ?? [];
  for (const [, from = ''] of stage.matchAll(/^COPY (.+) \S+$/gm)) {
    for (const name of from.split(' ')) await copyTracked(name, build);
  }
  for (const [, command = ''] of stage.matchAll(/^RUN ((?:.*\\\n)*.*)$/gm)) {
    run('sh', ['-c', command], build);
  }
  await mkdir(app, { recursive: true });
  const parts = ['node_modules', 'dist/src', 'package.json', 'models'];
  for (const part of parts.slice(0, 2)) await cp(join(build, part), join(app, part), { recursive: true });
  for (const part of parts.slice(2)) await copyTracked(part, app);
  if (existsSync(join(app, 'node_modules/typescript'))) throw new Error('a build tool is left in the image');
  const port = await freePort();
  const [entry = ''] = /^ENTRYPOINT \["\S+tini", "--", "\/app\/(.+)"\]$/m.exec(dockerfile)?.slice(1) ?? [];
  const service = new Running('tini-static', ['--', join(app, entry), 'serve', '--port', String(port)], app);
  try {
    await service.until(`http://127.0.0.1:${port}/health/ready`);
    const probe = join(app, 'dist/src/cli/health.js');
    const { status } = spawnSync(process.execPath, [probe], { env: { ...process.env, PORT: String(port) } });
    if (status !== 0) throw new Error('the health check of the image fails');
  } finally {
    await service.stop();
  }
  const sizes = parts.map((part) => `${part} ${Math.round(sizeOf(join(app, part)) / 2 ** 20)} MiB`);
  return `the service starts from what the CPU image has, and its health check passes; layers: ${sizes.join(', ')}`;
}

/** Writes a bill of materials from the lock file, and checks the licenses in it. */
export async function billOfMaterials(): Promise<string> {
  const text = run('npm', ['sbom', '--sbom-format', 'cyclonedx', '--omit', 'dev'], root);
  const { components, specVersion } = JSON.parse(text) as {
    specVersion: string;
    components: {
      name: string;
      version: string;
      licenses?: { license?: { id?: string }; expression?: string }[];
    }[];
  };
  const unknown = components.flatMap(({ name, licenses = [] }) =>
    licenses.length > 0 &&
    licenses.every(({ license, expression }) => allowed.has(expression ?? license?.id ?? ''))
      ? []
      : [name],
  );
  if (unknown.length > 0) throw new Error(`look at the licenses of ${unknown.join(', ')}`);
  const out = join(root, 'bench/.report');
  await mkdir(out, { recursive: true });
  await writeFile(join(out, 'sbom.cdx.json'), text);
  return `CycloneDX ${specVersion} of ${components.length} packages in bench/.report/sbom.cdx.json; all licenses are known`;
}

/** Copies a file or folder, without what git does not know. */
async function copyTracked(name: string, to: string): Promise<void> {
  const files = run(
    'git',
    ['ls-files', '--cached', '--others', '--exclude-standard', name.replace('./', '')],
    root,
  );
  for (const file of files.trim().split('\n')) {
    if (existsSync(join(root, file))) await cp(join(root, file), join(to, file));
  }
}

function sizeOf(path: string): number {
  return Number(run('du', ['-sb', path]).split('\t')[0]);
}
