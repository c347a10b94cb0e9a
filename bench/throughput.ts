/**
 * `npm run throughput`: images a second end to end, from JPEG bytes over HTTP with the client on the same
 * machine, beside what the same graph gives in process at its best batch size. Both take turns.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import sharp from 'sharp';
import { modelsFolder, readDetector, ScoringEngine } from '../src/detector/index.js';
import { decodeImage } from '../src/imaging/index.js';
import { root } from './peer.js';

const rounds = 5;
const images = 96;
const connections = 16;
const batches = [1, 2, 4, 8, 16];
const port = 18_081;

const jpeg = await sharp(await readFile(join(root, 'examples/good-1.png')))
  .jpeg({ quality: 90 })
  .toBuffer();
const detector = await readDetector(join(modelsFolder, 'sample'));
const { inputSize } = detector.shape;
const { pixels } = await decodeImage(jpeg, detector.input);
const engine = await ScoringEngine.open({ provider: 'cpu' });
const service = spawn(
  process.execPath,
  [join(root, 'dist/src/cli/main.js'), 'serve', '--port', String(port), '--host', '127.0.0.1'],
  { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, LOG_LEVEL: 'warn' } },
);
createInterface({ input: service.stdout }).on('line', () => {});
const agent = new Agent({ keepAlive: true, maxSockets: connections });
while ((await send('GET', '/health/ready').catch(() => 0)) !== 200) await wait(200);

const best = await bestBatch();
await endToEnd();
const pairs: { inProcess: number; overHttp: number }[] = [];
for (let round = 0; round < rounds; round++) {
  pairs.push({ inProcess: await inProcess(best), overHttp: await endToEnd() });
}
const ratios = pairs.map(({ inProcess, overHttp }) => overHttp / inProcess);
console.log(
  `${inputSize} x ${inputSize}, score only, images a second, medians of ${rounds} turns of ${images} images`,
);
console.log(`in process, batch ${best}:  ${median(pairs.map(({ inProcess }) => inProcess)).toFixed(1)}`);
console.log(
  `over HTTP, ${connections} connections: ${median(pairs.map(({ overHttp }) => overHttp)).toFixed(1)}`,
);
console.log(`ratio ${median(ratios).toFixed(2)} (${ratios.map((ratio) => ratio.toFixed(2)).join(' ')})`);
agent.destroy();
await engine.close();
service.kill('SIGTERM');
await once(service, 'exit');

async function bestBatch(): Promise<number> {
  const rates = new Map<number, number>();
  for (const batch of batches) {
    await inProcess(batch, 16);
    rates.set(batch, await inProcess(batch, 32));
  }
  return [...rates].sort(([, a], [, b]) => b - a)[0]?.[0] ?? 1;
}

/** Images a second of the graph alone: pixels in, scores out. */
async function inProcess(batch: number, count = images): Promise<number> {
  const together = Buffer.concat(Array.from({ length: batch }, () => pixels));
  const began = performance.now();
  for (let done = 0; done < count; done += batch) await engine.run(detector, together, 'none');
  return (1000 * Math.ceil(count / batch) * batch) / (performance.now() - began);
}

/** Images a second with every connection always busy. */
async function endToEnd(): Promise<number> {
  let sent = 0;
  const began = performance.now();
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (sent < images) {
        sent++;
        const status = await send('POST', '/v1/detectors/sample/score', jpeg);
        if (status !== 200) throw new Error(`the service answered ${status}`);
      }
    }),
  );
  return (1000 * images) / (performance.now() - began);
}

function send(method: string, path: string, body?: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = body ? { 'content-type': 'image/jpeg', 'content-length': body.length } : {};
    const outgoing = request({ host: '127.0.0.1', port, method, path, headers, agent }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;
}
