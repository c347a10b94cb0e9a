/**
 * `npm run faults`: a minute of load while the inference worker is replaced every five seconds, clients go away in the
 * middle of an upload, and readiness is watched; then SIGTERM's way out under load. Ends with 1 when an accepted request
 * is lost or an answer is wrong.
 */
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { modelsFolder } from '../src/detector/index.js';
import { serve } from '../src/service/index.js';
import { root } from './peer.js';

const seconds = Number(process.argv[2] ?? 60);
const connections = 6;
const everyMs = 5_000;

const service = await serve({
  detectors: modelsFolder,
  experts: [],
  device: { provider: 'cpu' },
  host: '127.0.0.1',
  port: 0,
});
const image = await readFile(join(root, 'examples/defect-2.png'));
const score = `${service.address}/v1/detectors/sample/score`;
const ask = async (): Promise<{ status: number; score: number | undefined }> => {
  const response = await fetch(score, {
    method: 'POST',
    body: image,
    headers: { 'content-type': 'image/png' },
  });
  const body = (await response.json()) as { results?: { score: number }[] };
  return { status: response.status, score: body.results?.[0]?.score };
};
const expected = (await ask()).score ?? Number.NaN;
const tally = { right: 0, wrong: 0, unavailable: 0, lost: 0, replaced: 0, abandoned: 0, readyWhileGone: 0 };
const until = performance.now() + 1000 * seconds;
const going = (): boolean => performance.now() < until;

async function client(): Promise<void> {
  while (going()) {
    try {
      const answer = await ask();
      if (answer.status === 503) tally.unavailable++;
      else if (answer.score !== undefined && Math.abs(answer.score - expected) < 1e-3 * expected)
        tally.right++;
      else tally.wrong++;
    } catch {
      tally.lost++;
    }
  }
}

async function replaceWorkers(): Promise<void> {
  while (going()) {
    await wait(everyMs);
    const engine = service.app.service.catalog?.engine;
    const replaced = engine?.replaceWorker();
    const ready = await fetch(`${service.address}/health/ready`);
    if (engine && !engine.alive && ready.ok) tally.readyWhileGone++;
    await replaced;
    tally.replaced++;
  }
}

/** Begins an upload and goes away. */
async function abandon(): Promise<void> {
  const { port, hostname } = new URL(service.address);
  while (going()) {
    const socket = connect(Number(port), hostname);
    socket.on('error', () => {});
    socket.write(
      `POST /v1/detectors/sample/score HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\ncontent-length: ${image.length}\r\n\r\n`,
    );
    socket.write(image.subarray(0, image.length / 2));
    await wait(200);
    socket.destroy();
    tally.abandoned++;
  }
}

await Promise.all([...Array.from({ length: connections }, client), replaceWorkers(), abandon()]);
const last = Array.from({ length: 8 }, () =>
  ask().then(
    ({ status }) => status,
    () => 0,
  ),
);
await wait(50);
await service.stop();
const atTheEnd = await Promise.all(last);
console.log({ seconds, ...tally, answeredWhileStopping: atTheEnd.join(' ') });
process.exitCode =
  tally.wrong + tally.lost + tally.readyWhileGone > 0 || atTheEnd.some((status) => status !== 200) ? 1 : 0;
