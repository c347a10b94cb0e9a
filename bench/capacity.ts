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

for (const tool of ['nginx', 'redis-server'] as const) {
  const why = unavailable(tool);
  if (why !== undefined) throw new Error(why);
}
const folder = await mkdtemp(join(tmpdir(), 'mkd-capacity-'));
// nginx works as another user.
await chmod(folder, 0o755);
try {
  const measured: number[] = [];
  let stages: Stages | undefined;
  for (const replicas of [1, 2, 3]) {
    const fleet = await Fleet.start(folder, onlySample, replicas);
    try {
      stages ??= await stagesOf(fleet);
      const found: number[] = [];
      for (let turn = 0; turn < turns; turn++) found.push(await rateOf(fleet));
      measured.push(median(found));
    } finally {
      await fleet.stop();
    }
  }
  report(stages as Stages, measured);
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** Measures the processor time of a request, one after another. */
async function stagesOf(fleet: Fleet): Promise<Stages> {
  await fleet.ask(20);
  const before = await Promise.all([processorMs(fleet.servicePids), processorMs(fleet.balancerPids)]);
  const answers = await fleet.ask(200);
  const after = await Promise.all([processorMs(fleet.servicePids), processorMs(fleet.balancerPids)]);
  const each = (index: 0 | 1): number => (after[index] - before[index]) / answers.length;
  const decode = median(answers.map(({ decodeMs }) => decodeMs));
  const inference = median(answers.map(({ inferenceMs }) => inferenceMs));
  return { balancer: each(1), decode, inference, loop: Math.max(0, each(0) - decode - inference) };
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

function report(stages: Stages, measured: readonly number[]): void {
  const rounded = Object.entries(stages).map(([name, value]) => `${name} ${value.toFixed(2)}`);
  console.log(
    `Processor time of a request in ms: ${rounded.join(', ')}. ${cores()} cores, ${clients} clients.\n`,
  );
  console.log('| replicas on this machine | images a second | simulated | ratio |\n|---|---|---|---|');
  for (const [at, rate] of measured.entries()) {
    const replicas = at + 1;
    // Clients and Redis are on the same machine; they are part of what the balancer takes.
    const said = simulate(stages, { replicas, cores: cores(), perMachine: replicas, clients });
    console.log(`| ${replicas} | ${rate.toFixed(0)} | ${said.toFixed(0)} | ${(said / rate).toFixed(2)} |`);
  }
  console.log('\n| machines with two cores, a replica each | images a second, simulated |\n|---|---|');
  const apart = { ...stages, balancer: 0 };
  for (const replicas of [1, 10, 100]) {
    const said = simulate(
      apart,
      { replicas, cores: 2, perMachine: 1, clients: 8 * replicas },
      replicas > 10 ? 3 : 30,
    );
    console.log(`| ${replicas} | ${said.toFixed(0)} |`);
  }
}
