/** From JPEG bytes to the answer, in process and over HTTP; the start of a service, and its memory. */
import sharp from 'sharp';
import { drawSample } from '../../src/datasets/index.js';
import { type LoadedDetector, modelsFolder } from '../../src/detector/index.js';
import { DirectInference, type ScoringEngine, ScoringPipeline } from '../../src/scoring/index.js';
import { onlySample } from '../../test/support/service.js';
import { Client, rateOf, startService } from '../service.js';
import type { Cells, Side } from './cells.js';

const port = 18_086;
const path = '/v1/detectors/sample/score';
const headers = { 'content-type': 'image/jpeg' };

export interface WireSettings {
  readonly connections: readonly number[];
  /** Images of a turn. */
  readonly images: number;
}

export async function wire(
  cells: Cells,
  engine: ScoringEngine,
  detector: LoadedDetector,
  { connections, images }: WireSettings,
): Promise<void> {
  const files = await Promise.all(Array.from({ length: 8 }, (_, index) => jpegOf(index)));
  const file = (): Buffer => files[Math.floor(Math.random() * files.length)] as Buffer;
  const pipeline = new ScoringPipeline(new DirectInference(engine));
  const service = await startService(port, '--provider', 'cpu', '--detectors', modelsFolder);
  const sides: Record<string, Side> = {
    'in process': () =>
      rateOf(images, 8, async () => void (await pipeline.score({ detector, image: file() }))),
  };
  const clients = connections.map((count) => [count, new Client(port, count)] as const);
  for (const [count, client] of clients) {
    const send = async (): Promise<void> => {
      const { status } = await client.send('POST', path, file(), headers);
      if (status !== 200) throw new Error(`the service answered ${status}`);
    };
    sides[`HTTP, ${count} connection${count === 1 ? '' : 's'}`] = () =>
      rateOf(count === 1 ? images / 4 : images, count, send);
  }
  await cells.measure('from JPEG bytes to the answer', 'images per second', sides);
  for (const [, client] of clients) client.close();
  await service.stop();
}

/** Measures the start, and the memory of a service: when it is ready, after a thousand requests, and at its peak. */
export async function start(cells: Cells, turns: number): Promise<void> {
  const ready: number[] = [];
  const memory = {
    'when ready': [] as number[],
    'after 1,000 requests': [] as number[],
    peak: [] as number[],
  };
  const body = await jpegOf(1);
  for (let turn = 0; turn < turns; turn++) {
    const began = performance.now();
    const service = await startService(port, '--provider', 'cpu', '--detectors', onlySample);
    ready.push((performance.now() - began) / 1000);
    memory['when ready'].push((await service.residentBytes()) / 2 ** 20);
    const client = new Client(port, 8);
    await rateOf(1000, 8, async () => {
      await client.send('POST', path, body, headers);
    });
    memory['after 1,000 requests'].push((await service.residentBytes()) / 2 ** 20);
    memory.peak.push((await service.peakBytes()) / 2 ** 20);
    client.close();
    await service.stop();
  }
  cells.add({ name: 'from start to ready', unit: 's', sides: { mkd: ready } });
  cells.add({ name: 'resident memory, one detector', unit: 'MiB', sides: memory });
}

/** Draws a part of the sample product, as JPEG. */
async function jpegOf(index: number): Promise<Buffer> {
  const { pixels, width, height } = drawSample({ seed: 9, index });
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 90 })
    .toBuffer();
}
