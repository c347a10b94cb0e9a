/**
 * `npm run capacity`: images a second of one, two and three real replicas behind nginx on this machine, what a simulation says
 * of them from the processor time of one request, and what it says of more machines. Needs nginx and Redis.
 */
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cores } from '../src/files/cores.js';
import { onlySample } from '../test/support/service.js';
import { Fleet } from './deploy/replicas.js';
import { type Stages, simulate } from './deploy/simulation.js';
import { unavailable } from './deploy/tools.js';
import { median } from './service.js';

const clients = 8;
const turns = 3;
const secondsOfTurn = 8;

/** A JPEG of 256 x 256 pixels. */
const bytesOfImage = 15_000;

/** How long results are kept. */
const secondsKept = 600;

for (const tool of ['nginx', 'redis-server'] as const) {
  const why = unavailable(tool);
  if (why !== undefined) throw new Error(why);
}
const folder = await mkdtemp(join(tmpdir(), 'mkd-capacity-'));
// nginx works as another user.
await chmod(folder, 0o755);
try {
  const measured: number[] = [];
  let cost: Cost | undefined;
  for (const replicas of [1, 2, 3]) {
    const fleet = await Fleet.start(folder, onlySample, replicas);
    try {
      cost ??= await costOf(fleet);
      const found: number[] = [];
      for (let turn = 0; turn < turns; turn++) found.push(await rateOf(fleet));
      measured.push(median(found));
    } finally {
      await fleet.stop();
    }
  }
  report(cost as Cost, measured);
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** What one request costs. */
interface Cost {
  readonly stages: Stages;
  /** Processor time beside the service, in milliseconds. */
  readonly nginx: number;
  readonly redis: number;
  /** Bytes that the store has more of. */
  readonly stored: number;
  /** Series that Prometheus reads of a replica. */
  readonly series: number;
}

/** Measures the cost of a request, one after another, twice: what other programs do meanwhile is no cost. */
async function costOf(fleet: Fleet): Promise<Cost> {
  await fleet.ask(200);
  const [one, other] = [await costOnce(fleet), await costOnce(fleet)];
  return one.stages.loop < other.stages.loop ? one : other;
}

async function costOnce(fleet: Fleet): Promise<Cost> {
  const { services, nginx, redis } = fleet.pids;
  const groups = [services, nginx, redis, [process.pid]];
  const times = () => Promise.all(groups.map(processorMs));
  const storedBefore = await fleet.storedBytes();
  const before = await times();
  const answers = await fleet.ask(200);
  const after = await times();
  const [service = 0, balancer = 0, store = 0, client = 0] = after.map(
    (time, at) => (time - (before[at] as number)) / answers.length,
  );
  const decode = median(answers.map(({ decodeMs }) => decodeMs));
  const inference = median(answers.map(({ inferenceMs }) => inferenceMs));
  const loop = Math.max(0, service - decode - inference);
  return {
    // On this machine the balancer, the store and the clients share the cores with the replicas.
    stages: { balancer: balancer + store + client, decode, inference, loop },
    nginx: balancer,
    redis: store,
    stored: ((await fleet.storedBytes()) - storedBefore) / answers.length,
    series: await fleet.series(),
  };
}

async function rateOf(fleet: Fleet): Promise<number> {
  const load = fleet.load();
  await new Promise((resolve) => setTimeout(resolve, 1000 * secondsOfTurn));
  return (await load.end()) / secondsOfTurn;
}

/** Processor time so far, user and system, of processes. */
async function processorMs(pids: readonly number[]): Promise<number> {
  const times = await Promise.all(
    pids.map(async (pid) => {
      const text = await readFile(`/proc/${pid}/stat`, 'utf8');
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
      // Hundredths of a second.
      return 10 * (Number(fields[11]) + Number(fields[12]));
    }),
  );
  return times.reduce((sum, time) => sum + time, 0);
}

function report({ stages, nginx, redis, stored, series }: Cost, measured: readonly number[]): void {
  const rounded = Object.entries(stages).map(([name, value]) => `${name} ${value.toFixed(2)}`);
  console.log(
    `Processor time of a request in ms: ${rounded.join(', ')}. ${cores()} cores, ${clients} clients.\n`,
  );
  console.log('| replicas on this machine | images a second | simulated | ratio |\n|---|---|---|---|');
  for (const [at, rate] of measured.entries()) {
    const replicas = at + 1;
    const said = simulate(stages, { replicas, cores: cores(), perMachine: replicas, clients });
    console.log(`| ${replicas} | ${rate.toFixed(0)} | ${said.toFixed(0)} | ${(said / rate).toFixed(2)} |`);
  }
  console.log(
    '\n| machines of two cores, a replica each | images a second | images in, MB/s | cores of nginx | cores of Redis | Redis holds, GB | series |',
  );
  console.log('|---|---|---|---|---|---|---|');
  const one = simulate({ ...stages, balancer: 0 }, { replicas: 1, cores: 2, perMachine: 1, clients });
  for (const machines of [1, 10, 100, 1000]) {
    const rate = machines * one;
    const cells = [
      rate,
      (rate * bytesOfImage) / 1e6,
      (rate * nginx) / 1000,
      (rate * redis) / 1000,
      (rate * stored * secondsKept) / 1e9,
      machines * series,
    ];
    const shown = cells.map((value) => (value < 10 ? value.toFixed(1) : value.toFixed(0)));
    console.log(`| ${machines} | ${shown.join(' | ')} |`);
  }
}
