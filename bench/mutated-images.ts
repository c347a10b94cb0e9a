/**
 * `npm run mutate`: 20,000 damaged JPEG, PNG, WebP and TIFF images, generated from a seed: bits flipped, bytes removed,
 * duplicated or overwritten, ends truncated. The service must respond with a score or a client error, never with a 5xx,
 * and must release its memory.
 */
import { setTimeout as wait } from 'node:timers/promises';
import sharp from 'sharp';
import { drawSample } from '../src/datasets/index.js';
import { defaultResultStoreLimits } from '../src/http/index.js';
import { randomStream } from '../src/random/random.js';
import { Client, rateOf, startService } from './service.js';

const count = Number(process.argv[2] ?? 20_000);
const seed = Number(process.argv[3] ?? 0);
const port = 18_085;
const random = randomStream(seed, 'mutated images');
const below = (bound: number): number => Math.floor(random() * bound);

const { pixels, width, height } = drawSample({ seed: 3, index: 0 });
const source = sharp(pixels, { raw: { width, height, channels: 3 } }).resize(64, 48);
const originals: readonly Buffer[] = await Promise.all([
  source.clone().jpeg().toBuffer(),
  source.clone().jpeg({ progressive: true }).withMetadata({ orientation: 6 }).toBuffer(),
  source.clone().png().toBuffer(),
  source.clone().png({ palette: true }).toBuffer(),
  source.clone().webp().toBuffer(),
  source.clone().webp({ lossless: true }).toBuffer(),
  source.clone().tiff({ compression: 'lzw' }).toBuffer(),
  source.clone().tiff({ compression: 'jpeg' }).toBuffer(),
  source.clone().tiff({ compression: 'deflate', bigtiff: true }).toBuffer(),
  source.clone().tiff({ compression: 'none', tile: true }).toBuffer(),
  source.clone().toColourspace('rgb16').tiff({ compression: 'lzw' }).toBuffer(),
  source.clone().toColourspace('rgb16').png().toBuffer(),
  source.clone().toColourspace('b-w').tiff({ compression: 'lzw' }).toBuffer(),
  // Its faults are repaired.
  source
    .clone()
    .jpeg()
    .toBuffer()
    .then((jpeg) => jpeg.subarray(0, jpeg.length - 2)),
]);

/** Applies one to eight changes, half of them near the start, where headers are. */
function mutated(): Buffer {
  let bytes = Buffer.from(originals[below(originals.length)] as Buffer);
  for (let changes = 1 + below(8); changes > 0 && bytes.length > 0; changes--) {
    const at = below(random() < 0.5 ? Math.min(bytes.length, 128) : bytes.length);
    const length = 1 + below(16);
    const kind = below(5);
    if (kind === 0) bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << below(8)), at);
    else if (kind === 1) bytes.fill(below(256), at, Math.min(bytes.length, at + length));
    else if (kind === 2) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    else if (kind === 3) bytes = Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    else if (random() < 0.3) bytes = bytes.subarray(0, at);
  }
  return bytes;
}

const service = await startService(port);
const client = new Client(port, 16);
const statuses = new Map<number | string, number>();
const failures: string[] = [];
const send = async (): Promise<void> => {
  const body = mutated();
  const headers = { 'content-type': 'application/octet-stream' };
  const { status, body: answer } = await client
    .send('POST', '/v1/detectors/sample/score', body, headers)
    .catch((error: Error) => ({ status: error.message, body: '' }));
  statuses.set(status, (statuses.get(status) ?? 0) + 1);
  if (typeof status === 'string' || status >= 500) failures.push(`${status} ${String(answer)}`);
};
// Up to a thousand results are kept: fill the store first, so that both memory readings include it.
await rateOf(defaultResultStoreLimits.maxResults, 16, async () => {
  const body = originals[below(originals.length)] as Buffer;
  await client.send('POST', '/v1/detectors/sample/score', body, {
    'content-type': 'application/octet-stream',
  });
});
await rateOf(2000, 16, send);
statuses.clear();
const before = await service.residentBytes();
const rate = await rateOf(count, 16, send);
await wait(3000);
const after = await service.residentBytes();
const { status: live } = await client.send('GET', '/health/ready');
client.close();
const code = await service.stop();
console.log(`${count} damaged images at ${rate.toFixed(0)} per second, seed ${seed}`);
for (const [status, times] of [...statuses].sort()) console.log(`  ${status}: ${times}`);
for (const failure of failures.slice(0, 5)) console.log(`  ${failure}`);
console.log(
  `resident memory ${(before / 2 ** 20).toFixed(0)} MiB before, ${(after / 2 ** 20).toFixed(0)} MiB after; ready ${live}; exit code ${code}`,
);
process.exitCode = failures.length === 0 && after < 1.1 * before && live === 200 && code === 0 ? 0 : 1;
