/**
 * `npm run bench`: how fast the default detector is, beside other runtimes with the same exported graph, over HTTP, and at the
 * limit of the processor. All sides take turns, so that changes in the speed of the machine affect all of them; cells
 * are medians. `-- --quick` takes two minutes. Writes bench/.report/report.md and report.json.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { drawSample } from '../src/datasets/index.js';
import { embeddedExperts, modelsFolder, readDetector } from '../src/detector/index.js';
import { type ExportedOutput, onnxFile } from '../src/export/index.js';
import { cores } from '../src/files/cores.js';
import { areaOf, sideOf } from '../src/imaging/index.js';
import { addExpert, addImageInput, loadExpert } from '../src/networks/index.js';
import { encodeModel, Graph, knownShape } from '../src/onnx/index.js';
import { Device, float32 } from '../src/runtime/index.js';
import { DirectInference, type MapKind, ScoringEngine, ScoringPipeline } from '../src/scoring/index.js';
import { onlySample } from '../test/support/service.js';
import { root, startPeer } from './peer.js';
import { Client, median, rateOf, startService } from './service.js';

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const { quick } = values;
const [turns, runs, images] = quick ? [3, 8, 96] : [7, 20, 320];
const port = 18_086;
const connections = quick ? [1, 16] : [1, 16, 64];

interface Cell {
  readonly name: string;
  /** By side, of each turn. */
  readonly sides: Readonly<Record<string, readonly number[]>>;
  readonly unit: string;
}

const detector = await readDetector(join(modelsFolder, 'sample'));
const side = sideOf(detector.shape.inputSize);
const threads = cores();
const engine = await ScoringEngine.open({ provider: 'cpu', dedicatedSessions: 1, maxBatchSize: 8 });
const folder = await mkdtemp(join(tmpdir(), 'mkd-bench-'));
const peer = await startPeer('exported_times.py', [String(threads), String(side)], 'exported.txt');
const cells: Cell[] = [];
try {
  await graphs();
  await wire();
  await start();
  const limit = await arithmeticLimit();
  const markdown = render(limit);
  console.log(`\n${markdown}`);
  const out = join(root, 'bench/.report');
  await mkdir(out, { recursive: true });
  await writeFile(join(out, 'report.md'), markdown);
  const json = { machine: machine(), created: new Date().toISOString(), quick, limit, cells };
  await writeFile(join(out, 'report.json'), `${JSON.stringify(json, null, 2)}\n`);
} finally {
  await peer.close();
  await engine.close();
  await rm(folder, { recursive: true, force: true });
}

/** Times the graph in process: ours, and the exported one elsewhere. */
async function graphs(): Promise<void> {
  await engine.warmUp(detector);
  const wanted: readonly [string, MapKind, readonly ExportedOutput[], readonly number[]][] = [
    ['score', 'none', ['score'], quick ? [1] : [1, 8]],
    ['score and map', 'discrepancy', ['score', 'map'], [1]],
    ['score and gradient', 'gradient', ['score', 'gradient'], [1]],
  ];
  for (const [name, map, outputs, batches] of wanted) {
    const model = join(folder, `${outputs.join('-')}.onnx`);
    await writeFile(model, await onnxFile(detector, { input: 'uint8', outputs }));
    for (const batch of batches) {
      const pixels = new Uint8Array(batch * areaOf(side) * 3).fill(127);
      const ours = async (): Promise<number> => {
        await engine.run(detector, pixels, map);
        const began = performance.now();
        for (let run = 0; run < runs; run++) await engine.run(detector, pixels, map);
        return (performance.now() - began) / runs / batch;
      };
      const theirs = (runtime: string) => async (): Promise<number> => {
        const { seconds } = await peer.ask({ runtime, model, batch, runs });
        return (1000 * Number(seconds)) / runs / batch;
      };
      const sides = {
        mkd: ours,
        'onnxruntime (Python)': theirs('onnxruntime'),
        'OpenVINO float32': theirs('openvino-f32'),
        'OpenVINO bfloat16': theirs('openvino-bf16'),
      };
      await measure(`${name}, batch ${batch}`, 'ms per image', sides);
    }
  }
}

/** Times JPEG files: in process, and over HTTP. */
async function wire(): Promise<void> {
  const files = await Promise.all(Array.from({ length: 8 }, (_, index) => jpegOf(index)));
  const file = (): Buffer => files[Math.floor(Math.random() * files.length)] as Buffer;
  const pipeline = new ScoringPipeline(new DirectInference(engine));
  const service = await startService(port, '--provider', 'cpu', '--detectors', modelsFolder);
  const sides: Record<string, () => Promise<number>> = {
    'in process': () =>
      rateOf(images, 8, async () => void (await pipeline.score({ detector, image: file() }))),
  };
  const clients = connections.map((count) => [count, new Client(port, count)] as const);
  for (const [count, client] of clients) {
    const send = async (): Promise<void> => {
      const headers = { 'content-type': 'image/jpeg' };
      const { status } = await client.send('POST', '/v1/detectors/sample/score', file(), headers);
      if (status !== 200) throw new Error(`the service answered ${status}`);
    };
    sides[`HTTP, ${count} connections`] = () => rateOf(count === 1 ? images / 4 : images, count, send);
  }
  await measure('from JPEG bytes to the answer', 'images per second', sides);
  for (const [, client] of clients) client.close();
  await service.stop();
}

/** Measures the start, and the memory of a service after a thousand requests. */
async function start(): Promise<void> {
  const ready: number[] = [];
  const memory: Record<'when ready' | 'after 1,000 requests', number[]> = {
    'when ready': [],
    'after 1,000 requests': [],
  };
  const body = await jpegOf(1);
  for (let turn = 0; turn < (quick ? 1 : 3); turn++) {
    const began = performance.now();
    const service = await startService(port, '--provider', 'cpu', '--detectors', onlySample);
    ready.push((performance.now() - began) / 1000);
    memory['when ready'].push((await service.residentBytes()) / 2 ** 20);
    const client = new Client(port, 8);
    const headers = { 'content-type': 'image/jpeg' };
    await rateOf(1000, 8, async () => {
      await client.send('POST', '/v1/detectors/sample/score', body, headers);
    });
    memory['after 1,000 requests'].push((await service.residentBytes()) / 2 ** 20);
    client.close();
    await service.stop();
  }
  cells.push({ name: 'from start to ready', unit: 's', sides: { mkd: ready } });
  cells.push({ name: 'resident memory, one detector', unit: 'MiB', sides: memory });
}

/** Draws a part of the sample product, as JPEG. */
async function jpegOf(index: number): Promise<Buffer> {
  const { pixels, width, height } = drawSample({ seed: 9, index });
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 90 })
    .toBuffer();
}

/** Runs all sides in turns. */
async function measure(
  name: string,
  unit: string,
  sides: Readonly<Record<string, () => Promise<number>>>,
): Promise<void> {
  const found: Record<string, number[]> = Object.fromEntries(Object.keys(sides).map((key) => [key, []]));
  for (let turn = 0; turn < turns; turn++) {
    for (const [key, run] of Object.entries(sides)) found[key]?.push(await run());
    process.stderr.write(`\r${name}: turn ${turn + 1} of ${turns}   `);
  }
  process.stderr.write('\n');
  cells.push({ name, unit, sides: found });
}

interface Limit {
  readonly multiplyAdds: number;
  readonly gemmPerSecond: number;
  readonly milliseconds: number;
}

/** Returns how long the expert's multiply-adds take at the rate of a large matrix product. */
async function arithmeticLimit(): Promise<Limit> {
  const graph = new Graph('count');
  addExpert(graph, addImageInput(graph, [side, side], 1), await loadExpert(embeddedExperts.efficientNet));
  const multiplyAdds = graph.nodes
    .filter(({ operator }) => operator === 'Conv')
    .reduce((sum, { inputs: [, kernel], outputs: [result] }) => {
      if (!kernel || !result) return sum;
      const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);
      return sum + product(knownShape(result, 'Conv')) * product(knownShape(kernel, 'Conv').slice(1));
    }, 0);
  const size = 1024;
  const gemm = new Graph('gemm');
  const a = gemm.input('a', 'float32', [size, size]);
  gemm.output(gemm.op.MatMul(a, gemm.input('b', 'float32', [size, size])), 'c');
  const device = await Device.open({ provider: 'cpu', threads });
  const session = await device.session(encodeModel(gemm));
  const matrix = float32([size, size], new Float32Array(size ** 2).fill(0.5));
  const seconds: number[] = [];
  for (let run = 0; run < 12; run++) seconds.push((await session.run({ a: matrix, b: matrix })).seconds);
  await device.close();
  const gemmPerSecond = size ** 3 / Math.min(...seconds);
  return { multiplyAdds, gemmPerSecond, milliseconds: (1000 * multiplyAdds) / gemmPerSecond };
}

function machine(): string {
  const [{ model } = { model: 'unknown' }] = cpus();
  return `${model}, ${threads} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node.js ${process.version}`;
}

function render({ multiplyAdds, gemmPerSecond, milliseconds }: Limit): string {
  const lines = [
    `# The default detector at ${side} x ${side} pixels`,
    '',
    `${machine()}. Medians of ${turns} turns; a ratio is the median over turns of the first side to this one.`,
    '',
    '| | | median | ratio |',
    '|---|---|---|---|',
  ];
  for (const { name, unit, sides } of cells) {
    const [[, first] = ['', []]] = Object.entries(sides);
    for (const [at, [key, found]] of Object.entries(sides).entries()) {
      const ratio = median(found.map((value, turn) => (first[turn] as number) / value));
      lines.push(
        `| ${at === 0 ? `${name}, ${unit}` : ''} | ${key} | ${median(found).toPrecision(3)} | ${at === 0 ? '' : ratio.toFixed(2)} |`,
      );
    }
  }
  lines.push(
    '',
    `The expert has ${(multiplyAdds / 1e9).toFixed(2)} billion multiply-adds. At the rate of a matrix product of 1,024 x 1,024 in the same run ` +
      `(${(gemmPerSecond / 1e9).toFixed(0)} billion a second) they take ${milliseconds.toFixed(1)} ms.`,
    '',
  );
  return lines.join('\n');
}
