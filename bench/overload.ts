/**
 * `npm run overload`: twice the capacity of the service for two minutes, as from many cameras: requests are sent on
 * schedule, without waiting for responses. Every request must get a response; accepted ones within twice the 99 %
 * quantile at 80 % load plus the time of a full queue; memory must not grow.
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
// One worker per core, as for throughput: a worker with several threads waits for the slowest.
const service = await startService(port, '--workers', String(availableParallelism()));
const client = new Client(port, 512);

interface Tally {
  /** Response times of accepted requests, in milliseconds. */
  readonly accepted: number[];
  /** Count of every other status; 0 is no response. */
  readonly refused: Map<number, number>;
  readonly withoutRetryAfter: number;
}

/** Sends requests at a fixed rate, without waiting for responses. */
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
    if (status !== 200) throw new Error(`the service responded with ${status}`);
  });
await closed(100);
const capacity = await closed(400);
console.log(`capacity ${capacity.toFixed(1)} images per second`);

const calm = await openLoop(0.8 * capacity, 20);
const calmLate = quantile(calm.accepted, 0.99);
console.log(`80 % load: 99 % within ${calmLate.toFixed(0)} ms, refused ${JSON.stringify([...calm.refused])}`);

// A first burst, so that both memory readings are taken under overload.
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
  `200 % load for ${seconds} s: ${busy.accepted.length} accepted (${(busy.accepted.length / seconds).toFixed(1)} per second), ` +
    `503 for ${busy.refused.get(503) ?? 0}, ${busy.withoutRetryAfter} of them without Retry-After, other statuses ${JSON.stringify(others)}`,
);
console.log(
  `accepted: 99 % within ${late.toFixed(0)} ms (limit ${bound.toFixed(0)}: twice ${calmLate.toFixed(0)} plus a full queue of ${queueMs.toFixed(0)})`,
);
console.log(`resident memory ${megabytes(before)} before, ${megabytes(after)} after`);
client.close();
const code = await service.stop();
process.exitCode =
  others.length === 0 && busy.withoutRetryAfter === 0 && late <= bound && after < 1.1 * before && code === 0
    ? 0
    : 1;
