/**
 * `npm run check:deploy`: what an operator relies on, with the real programs: what is in the image, the rules and dashboards in a real Prometheus, three
 * replicas behind a real nginx and Redis while some of them end, the Helm chart, a bucket, and a queue of 10,000 images (or as
 * many as its argument says) whose workers are killed. Installs what it needs by package name if it may, and says
 * what could not run. Its last table has each check with its result. Exits with 1 if one failed.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../test/support/free-port.js';
import { onlySample } from '../test/support/service.js';
import { WorkerProcess } from '../test/support/worker.js';
import { usesBucket } from './deploy/bucket.js';
import { billOfMaterials, lintDockerfile, runStages } from './deploy/image.js';
import { checkChart, checkKServe, noGo } from './deploy/kubernetes.js';
import { checkQueries, checkRules } from './deploy/prometheus.js';
import { Fleet } from './deploy/replicas.js';
import { type Tool, unavailable } from './deploy/tools.js';
import { losesWorkers } from './deploy/workers.js';

interface Row {
  readonly check: string;
  readonly outcome: 'pass' | 'fail' | 'not run';
  readonly detail: string;
}

/** Of the queue that ten workers work on. */
const images = Number(process.argv[2] ?? 10_000);

const rows: Row[] = [];
const folder = await mkdtemp(join(tmpdir(), 'mkd-deploy-'));
// nginx works as another user.
await chmod(folder, 0o755);

async function check(
  name: string,
  tools: readonly Tool[],
  work: () => string | Promise<string>,
): Promise<void> {
  const missing = tools.map(unavailable).find((why) => why !== undefined);
  console.log(`${name} ...`);
  if (missing !== undefined) {
    rows.push({ check: name, outcome: 'not run', detail: missing });
    return;
  }
  try {
    rows.push({ check: name, outcome: 'pass', detail: await work() });
  } catch (error) {
    rows.push({ check: name, outcome: 'fail', detail: (error as Error).message });
  }
}

/** Checks what needs programs that are built from Go modules. */
async function checkWithGo(name: string, work: () => Promise<string>): Promise<void> {
  const why = noGo();
  if (why === undefined) return check(name, [], work);
  rows.push({ check: name, outcome: 'not run', detail: why });
}

let fleet: Fleet | undefined;
const withFleet = (work: (fleet: Fleet) => Promise<string>) => (): Promise<string> => {
  if (!fleet) throw new Error('the replicas did not start');
  return work(fleet);
};

try {
  await check('Dockerfile', [], lintDockerfile);
  await check('bill of materials', [], billOfMaterials);
  await check('stages of the CPU image, in a clean folder', [], () => runStages(folder));
  await checkWithGo('Helm chart', checkChart);
  await checkWithGo('KServe', checkKServe);
  await check('rules of Prometheus', ['promtool'], checkRules);
  const all: readonly Tool[] = ['nginx', 'redis-server'];
  await check('three replicas behind nginx', all, async () => {
    fleet = await Fleet.start(folder, onlySample);
    return 'ready';
  });
  await check(
    'queries of panels and rules',
    [...all, 'prometheus'],
    withFleet(async (running) => {
      const end = running.traffic();
      const port = await freePort();
      const worker = new WorkerProcess(running.store, onlySample, '--operations-port', String(port));
      try {
        await worker.said('ready');
        return await checkQueries({ service: running.target, worker: `127.0.0.1:${port}` }, folder);
      } finally {
        await worker.stop('SIGKILL');
        await end();
      }
    }),
  );
  await check(
    'shared results',
    all,
    withFleet((running) => running.sharesResults()),
  );
  await check(
    'replicas end under load',
    all,
    withFleet((running) => running.losesReplicas(onlySample)),
  );
  await check(
    'the store ends under load',
    all,
    withFleet((running) => running.losesStore()),
  );
  await fleet?.stop();
  fleet = undefined;
  await check('detectors and images in a bucket', ['redis-server'], () => usesBucket(folder));
  await check('workers end under load', ['redis-server'], () => losesWorkers(folder, images));
} finally {
  await fleet?.stop();
  await rm(folder, { recursive: true, force: true });
}
const container =
  'no container engine was used: no image was built, and neither compose nor the CUDA image was started';
rows.push({ check: 'containers', outcome: 'not run', detail: container });
console.log('\n| check | | |\n|---|---|---|');
for (const { check: name, outcome, detail } of rows)
  console.log(`| ${name} | ${outcome} | ${detail.replaceAll('\n', ' ')} |`);
process.exitCode = rows.some(({ outcome }) => outcome === 'fail') ? 1 : 0;
