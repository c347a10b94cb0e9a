/** Exported detectors: the same scores and maps as ours, and the gradient of the score. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { drawSample } from '../../src/datasets/index.js';
import { modelsFolder, readDetector } from '../../src/detector/index.js';
import { distill } from '../../src/distillation/index.js';
import { onnxFile, writeTritonModel } from '../../src/export/index.js';
import { encodePng } from '../../src/imaging/index.js';
import { Device, float32, float32Data, uint8 } from '../../src/runtime/index.js';
import { ScoringEngine } from '../../src/scoring/index.js';
import { relativeDifference } from '../support/difference.js';
import { testProvider } from '../support/provider.js';

const device = await Device.open({ provider: testProvider });
t.teardown(() => device.close());
const engine = ScoringEngine.on(device);
const side = 256;

/** Parts, uint8 [n, 256, 256, 3]. */
const parts = (count: number): Uint8Array =>
  Buffer.concat(
    Array.from(
      { length: count },
      (_, index) => drawSample({ seed: 21, index, ...(index % 2 ? { defect: 'crack' } : {}) }).pixels,
    ),
  );

t.test('scores and maps are those of the detector, for any number of images', async (t) => {
  const detector = await readDetector(join(modelsFolder, 'sample'));
  const session = await device.session(await onnxFile(detector));
  for (const count of [1, 3]) {
    const images = parts(count);
    const { outputs } = await session.run({ image: uint8([count, side, side, 3], images) });
    const expected = (await engine.run(detector, images, 'discrepancy')).outputs;
    // A good part's score is a small difference of larger numbers.
    t.ok(relativeDifference(expected.score, float32Data(outputs, 'score')) < 1e-4, `scores of ${count}`);
    t.ok(
      relativeDifference(expected.map as Float32Array, float32Data(outputs, 'map')) < 1e-5,
      `maps of ${count}`,
    );
  }
  await session.close();
});

t.test('the gradient is that of the score', async (t) => {
  // The paper's expert is smooth enough for steps that single precision can tell apart.
  const detector = await readDetector(join(modelsFolder, 'sample-paper'));
  const outputs = ['score', 'gradient'] as const;
  const session = await device.session(await onnxFile(detector, { input: 'float32', outputs }));
  const [small, area] = [128, 128 ** 2];
  const planes = Float32Array.from(
    { length: 3 * area },
    (_, at) => (detector.selfTest.images[(at % area) * 3 + Math.floor(at / area)] as number) / 255,
  );
  const run = (data: Float32Array) => session.run({ image: float32([1, 3, small, small], data) });
  const gradient = float32Data((await run(planes)).outputs, 'gradient');
  const length = Math.sqrt(gradient.reduce((sum, value) => sum + value ** 2, 0));
  // A step along the gradient changes the score by its length.
  const step = 0.01;
  const moved = async (by: number): Promise<number> => {
    const data = planes.map((value, at) => value + (by * (gradient[at] as number)) / length);
    return float32Data((await run(data)).outputs, 'score')[0] as number;
  };
  const slope = ((await moved(step)) - (await moved(-step))) / (2 * step);
  t.ok(Math.abs(slope / length - 1) < 0.03, `${slope} and ${length}`);
  await session.close();
});

t.test("the paper's detector has its map by guided gradients", async (t) => {
  const detector = await readDetector(join(modelsFolder, 'sample-paper'));
  const session = await device.session(
    await onnxFile(detector, { input: 'uint8', outputs: ['score', 'map'] }),
  );
  const { images, count } = detector.selfTest;
  const { outputs } = await session.run({ image: uint8([count, 128, 128, 3], images) });
  const expected = (await engine.run(detector, images, 'guided')).outputs;
  t.ok(relativeDifference(expected.score, float32Data(outputs, 'score')) < 1e-5);
  t.ok(relativeDifference(expected.map as Float32Array, float32Data(outputs, 'map')) < 1e-4);
  await session.close();
});

t.test('outside the region of interest nothing counts, and thresholds are in the file', async (t) => {
  const root = t.testdir({ photos: {} });
  for (let index = 0; index < 8; index++) {
    const { width, height, pixels } = drawSample({ seed: 22, index });
    await writeFile(join(root, 'photos', `${index}.png`), await encodePng(pixels, width, height, 3));
  }
  const polygon = [
    [0, 0],
    [128, 0],
    [128, 256],
    [0, 256],
  ];
  const region = JSON.stringify({ width: 256, height: 256, polygons: [polygon] });
  await writeFile(join(root, 'left.json'), region);
  const out = join(root, 'half');
  const common = { dataset: join(root, 'photos'), device: { provider: testProvider, threads: 1 } } as const;
  const manifest = await distill({ ...common, out, regionOfInterest: join(root, 'left.json') });
  const detector = await readDetector(out);
  const file = await onnxFile(detector);
  const text = Buffer.from(file).toString('latin1');
  t.match(text, /mkd\.threshold/);
  t.ok(text.includes(String(manifest.calibration.threshold)));
  const session = await device.session(file);
  const run = async (pixels: Uint8Array) =>
    (await session.run({ image: uint8([1, side, side, 3], pixels) })).outputs;
  const image = parts(1);
  const changed = image.map((value, at) => (Math.floor(at / 3) % side >= 128 ? 255 - value : value));
  const [one, two] = [await run(image), await run(changed)];
  t.ok(relativeDifference(float32Data(one, 'score'), float32Data(two, 'score')) < 1e-5);
  for (const name of ['map', 'gradient']) {
    const outside = float32Data(one, name).filter((_, at) => at % side >= 128);
    t.ok(
      outside.every((value) => value === 0),
      `${name} is 0 outside`,
    );
  }
  await session.close();
  const other = { ...detector, input: { ...detector.input, fit: 'letterbox' as const } };
  await t.rejects(onnxFile(other), { message: /lies elsewhere in every image.*letterbox/ });
});

t.test('a model for Triton has a file and a configuration', async (t) => {
  const detector = await readDetector(join(modelsFolder, 'sample'));
  const repository = join(t.testdir(), 'models');
  await mkdir(repository);
  const folder = await writeTritonModel(repository, 'flange', detector);
  const config = await readFile(join(folder, 'config.pbtxt'), 'utf8');
  t.match(config, /name: "flange"\nplatform: "onnxruntime_onnx"/);
  t.match(config, /name: "image" data_type: TYPE_UINT8 dims: \[ 256, 256, 3 \]/);
  t.match(config, `key: "threshold" value: { string_value: "${detector.manifest.calibration.threshold}" }`);
  t.equal(config.match(/[[{(]/g)?.length, config.match(/[\]})]/g)?.length, 'brackets are closed');
  t.ok((await readFile(join(folder, '1', 'model.onnx'))).length > 1e7);
  await rm(repository, { recursive: true });
});
