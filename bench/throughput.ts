/**
 * `npm run throughput`: images per second end to end, from JPEG bytes over HTTP with the client on the same machine,
 * compared with the same graph in process at its best batch size. Both take turns. `-- --provider cuda`
 * measures on a GPU.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { modelsFolder, readDetector } from '../src/detector/index.js';
import { decodeImage, sideOf } from '../src/imaging/index.js';
import { ScoringEngine } from '../src/scoring/index.js';
import { root } from './peer.js';
import { provider } from './provider.js';
import { Client, median, rateOf, startService } from './service.js';

const rounds = 5;
/** Images per turn, and connections: a GPU needs more. */
const [images, connections] = provider === 'cuda' ? [1024, 64] : [96, 16];
const batches = [1, 2, 4, 8, 16];
const port = 18_081;

const jpeg = await sharp(await readFile(join(root, 'examples/good-1.png')))
  .jpeg({ quality: 90 })
  .toBuffer();
const detector = await readDetector(join(modelsFolder, 'sample'));
const side = sideOf(detector.shape.inputSize);
const { pixels } = await decodeImage(jpeg, detector.input);
// With a dedicated session, as in the service.
const engine = await ScoringEngine.open({ provider, dedicatedSessions: 1, spinning: true });
const service = await startService(port, '--provider', provider);
const client = new Client(port, connections);

const best = await bestBatch();
await endToEnd();
const pairs: { inProcess: number; overHttp: number }[] = [];
for (let round = 0; round < rounds; round++) {
  pairs.push({ inProcess: await inProcess(best), overHttp: await endToEnd() });
}
const ratios = pairs.map(({ inProcess, overHttp }) => overHttp / inProcess);
console.log(
  `${side} x ${side}, score only, images per second, medians of ${rounds} turns of ${images} images`,
);
console.log(`in process, batch ${best}:  ${median(pairs.map(({ inProcess }) => inProcess)).toFixed(1)}`);
console.log(
  `over HTTP, ${connections} connections: ${median(pairs.map(({ overHttp }) => overHttp)).toFixed(1)}`,
);
console.log(`over HTTP, one after another: ${median(await alone()).toFixed(1)} ms per image`);
console.log(`ratio ${median(ratios).toFixed(2)} (${ratios.map((ratio) => ratio.toFixed(2)).join(' ')})`);
client.close();
await engine.close();
await service.stop();

async function bestBatch(): Promise<number> {
  const rates = new Map<number, number>();
  for (const batch of batches) {
    await inProcess(batch, images / 6);
    rates.set(batch, await inProcess(batch, images / 3));
  }
  return [...rates].sort(([, a], [, b]) => b - a)[0]?.[0] ?? 1;
}

/** Returns images per second of the graph alone: pixels in, scores out. */
async function inProcess(batch: number, count = images): Promise<number> {
  const together = Buffer.concat(Array.from({ length: batch }, () => pixels));
  const began = performance.now();
  for (let done = 0; done < count; done += batch) await engine.run(detector, together, 'none');
  return (1000 * Math.ceil(count / batch) * batch) / (performance.now() - began);
}

/** Returns images per second with all connections busy. */
async function endToEnd(): Promise<number> {
  return rateOf(images, connections, score);
}

/** Returns the response times of 50 sequential requests, in milliseconds. */
async function alone(): Promise<number[]> {
  const times: number[] = [];
  while (times.length < 50) {
    const began = performance.now();
    await score();
    times.push(performance.now() - began);
  }
  return times;
}

async function score(): Promise<void> {
  const headers = { 'content-type': 'image/jpeg' };
  const { status } = await client.send('POST', '/v1/detectors/sample/score', jpeg, headers);
  if (status !== 200) throw new Error(`the service responded with ${status}`);
}
