/**
 * `npm run load`: 1,000 requests over 16 connections, valid and malformed ones mixed. Every response must have the
 * expected status, and /health/live must respond within 50 ms throughout. Prints the memory before and after.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import sharp from 'sharp';
import { root } from './peer.js';
import { Client, startService } from './service.js';

const requests = 1000;
const connections = 16;
const liveWithinMs = 50;
const port = 18_080;

const service = await startService(port);
const client = new Client(port, connections);
// Probes use their own connection.
const probe = new Client(port, 1);

const good = await readFile(join(root, 'examples/good-1.png'));
const defect = await readFile(join(root, 'examples/defect-1.png'));
const jpeg = await sharp(good).resize(600, 600).jpeg().toBuffer();
const huge = await sharp({ create: { width: 16_000, height: 16_000, channels: 3, background: '#888' } })
  .png()
  .toBuffer();
const score = '/v1/detectors/sample/score';
const localize = '/v1/detectors/sample/localize';
/** What is sent, its weight, and the expected status. */
const mix: readonly [string, number, () => Promise<number>, number][] = [
  ['good image', 6, () => status('POST', score, good), 200],
  ['defective image', 3, () => status('POST', score, defect), 200],
  ['JPEG', 2, () => status('POST', score, jpeg, 'image/jpeg'), 200],
  ['heatmap', 1, () => status('POST', localize, defect), 200],
  ['empty body', 1, () => status('POST', score, Buffer.alloc(0)), 400],
  ['wrong type', 1, () => status('POST', score, good, 'text/html'), 415],
  ['truncated JPEG', 2, () => status('POST', score, jpeg.subarray(0, jpeg.length / 2), 'image/jpeg'), 422],
  ['SVG', 1, () => status('POST', score, Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')), 415],
  ['256 megapixels', 1, () => status('POST', score, huge), 413],
  ['unknown detector', 1, () => status('POST', '/v1/detectors/nope/score', good), 404],
  ['unknown as', 1, () => status('POST', `${localize}?as=poem`, good), 400],
];
const deck = mix.flatMap((entry) => Array.from({ length: entry[1] }, () => entry));

// Warm up with each, alone and together, so that both memory readings are of a warm service.
for (let round = 0; round < 3; round++) for (const [, , send] of mix) await send();
for (let round = 0; round < 4; round++)
  await Promise.all(deck.slice(0, connections).map(([, , send]) => send()));
const before = await service.residentBytes();
const wrong = new Map<string, number>();
let sent = 0;
let slowestLive = 0;
let busy = true;
const probing = (async () => {
  while (busy) {
    const began = performance.now();
    await status('GET', '/health/live');
    slowestLive = Math.max(slowestLive, performance.now() - began);
    await wait(20);
  }
})();
const began = performance.now();
await Promise.all(
  Array.from({ length: connections }, async () => {
    while (sent < requests) {
      const [name, , send, expected] = deck[sent++ % deck.length] as (typeof deck)[number];
      const got = await send().catch((error: Error) => error.message);
      if (got !== expected)
        wrong.set(
          `${name}: ${got}, expected ${expected}`,
          (wrong.get(`${name}: ${got}, expected ${expected}`) ?? 0) + 1,
        );
    }
  }),
);
const seconds = (performance.now() - began) / 1000;
busy = false;
await probing;
await wait(3000);
const after = await service.residentBytes();

console.log(
  `${requests} requests over ${connections} connections in ${seconds.toFixed(1)} s (${(requests / seconds).toFixed(0)} per second)`,
);
console.log(
  `with the expected status: ${requests - [...wrong.values()].reduce((sum, count) => sum + count, 0)}`,
);
for (const [what, count] of wrong) console.log(`  ${count} x ${what}`);
console.log(`slowest /health/live: ${slowestLive.toFixed(1)} ms (limit ${liveWithinMs})`);
console.log(`resident memory: ${megabytes(before)} before, ${megabytes(after)} after`);
client.close();
probe.close();
const code = await service.stop();
console.log(`SIGTERM: exit code ${code}`);
process.exitCode = wrong.size === 0 && slowestLive <= liveWithinMs && code === 0 ? 0 : 1;

async function status(method: string, path: string, body?: Uint8Array, type = 'image/png'): Promise<number> {
  const answer = body
    ? await client.send(method, path, body, { 'content-type': type })
    : await probe.send(method, path);
  return answer.status;
}

function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}
