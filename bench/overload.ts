/**
 * `npm run overload`: twice what the service can do, for two minutes, as it comes from many cameras: requests are sent at
 * their time whether others are answered or not. Every one has to be answered; those that are accepted no later than
 * twice what 99 % of them take at 80 % load, and the time of a full queue; memory has to stay where it is.
 */
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { defaultQueueLimits } from '../src/scoring/index.js';
import { root } from './peer.js';
import { Client, quantile, rateOf, startService } from './service.js';

const seconds = Number(process.argv[2] ?? 120);
const port = 18_083;
const path = '/v1/detectors/sample/score';
const headers = { 'content-type': 'image/png' };
const image = await readFile(join(root, 'examples/defect-1.png'));
// One worker a core, as for throughput: a worker of several threads waits for each of them, and one is always disturbed.
const service = await startService(port, '--workers', String(availableParallelism()));
const client = new Client(port, 512);

interface Tally {
  /** Milliseconds of those that were accepted. */
  readonly accepted: number[];
  /** How often each other status came; 0 is no answer. */
  readonly refused: Map<number, number>;
  readonly withoutRetryAfter: number;
}

/** Sends at a rate, whether answers come or not. */
async function openLoop(perSecond: number, forSeconds: number): Promise<Tally> {
  const accepted: number[] = [];
  const refused = new Map<number, number>();
  let withoutRetryAfter = 0;
  const began = performance.now();
  const pending: Promise<void>[] = [];
  for (let sent = 0; sent < perSecond * forSeconds; sent++) {
    const at = began + (1000 * sent) / perSecond;
    if (at > performance.now()) await wait(at - performance.now());
    pending.push(
      client.send('POST', path, image, headers).then(
        ({ status, headers: answered }) => {
          if (status === 200) accepted.push(performance.now() - at);
          else refused.set(status, (refused.get(status) ?? 0) + 1);
          if (status === 503 && !answered['retry-after']) withoutRetryAfter++;
        },
        () => refused.set(0, (refused.get(0) ?? 0) + 1),
      ) as Promise<void>,
    );
  }
  await Promise.all(pending);
  return { accepted, refused, withoutRetryAfter };
}

const closed = async (count: number): Promise<number> =>
  rateOf(count, 16, async () => {
    const { status } = await client.send('POST', path, image, headers);
    if (status !== 200) throw new Error(`the service answered ${status}`);
  });
await closed(100);
const capacity = await closed(400);
console.log(`capacity ${capacity.toFixed(1)} images a second`);

const calm = await openLoop(0.8 * capacity, 20);
const calmLate = quantile(calm.accepted, 0.99);
console.log(`80 % load: 99 % within ${calmLate.toFixed(0)} ms, refused ${JSON.stringify([...calm.refused])}`);

// A first burst, so that memory is compared between two states under overload.
await openLoop(2 * capacity, 10);
const before = await service.residentBytes();
const busy = await openLoop(2 * capacity, seconds);
const after = await service.residentBytes();
const late = quantile(busy.accepted, 0.99);
const queueMs = (1000 * defaultQueueLimits.maxQueueLength) / capacity;
const bound = 2 * calmLate + queueMs;
const others = [...busy.refused].filter(([status]) => status !== 503);
const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
console.log(
  `200 % load for ${seconds} s: ${busy.accepted.length} accepted (${(busy.accepted.length / seconds).toFixed(1)} a second), ` +
    `503 for ${busy.refused.get(503) ?? 0}, ${busy.withoutRetryAfter} of them without Retry-After, anything else ${JSON.stringify(others)}`,
);
console.log(
  `accepted: 99 % within ${late.toFixed(0)} ms (wanted at most ${bound.toFixed(0)}: twice ${calmLate.toFixed(0)} and a full queue of ${queueMs.toFixed(0)})`,
);
console.log(`resident memory ${megabytes(before)} before, ${megabytes(after)} after`);
client.close();
const code = await service.stop();
process.exitCode =
  others.length === 0 && busy.withoutRetryAfter === 0 && late <= bound && after < 1.1 * before && code === 0
    ? 0
    : 1;
