/** A detector with a linear cloner, from photos to scores. */
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { drawSample } from '../../src/datasets/index.js';
import { embeddedExperts, readDetector } from '../../src/detector/index.js';
import { changePhotos, type DistillOptions, distill } from '../../src/distillation/index.js';
import { computeFeatures } from '../../src/distillation/linear/features.js';
import { linearRecipeFor } from '../../src/distillation/linear/linear-recipe.js';
import { photoFile } from '../../src/distillation/linear/photos.js';
import { Products } from '../../src/distillation/linear/products.js';
import { type FittedSpan, fitSpan } from '../../src/distillation/linear/span-fit.js';
import { evaluate } from '../../src/evaluation/index.js';
import { decodeNamedImage, encodePng } from '../../src/imaging/index.js';
import { readExpertCard, spanName } from '../../src/networks/index.js';
import { recalibrate } from '../../src/recalibration/index.js';
import { Device } from '../../src/runtime/index.js';
import { DirectInference, runSelfTest, ScoringEngine, ScoringPipeline } from '../../src/scoring/index.js';
import { testProvider } from '../support/provider.js';

const inputSize = 96;
const { cloner } = linearRecipeFor(await readExpertCard(embeddedExperts.efficientNet));
const { spans } = cloner;

async function photos(t: Test, count: number): Promise<string> {
  const folder = join(t.testdir(), 'photos');
  await mkdir(folder);
  for (let index = 0; index < count; index++) {
    const { pixels, width, height } = drawSample({ seed: 5, index, size: inputSize });
    await writeFile(join(folder, `${index}.png`), await encodePng(pixels, width, height, 3));
  }
  return folder;
}

const device = { provider: testProvider, threads: 1 } as const;

t.test('the detector scores as the fit says, and a defect stands out', async (t) => {
  const dataset = await photos(t, 12);
  const out = join(dataset, '..', 'flange');
  const manifest = await distill({ dataset, out, recipe: 'linear', inputSize, device });
  t.match(manifest, { cloner: { kind: 'linear' }, data: { images: 12, heldBack: 12 } });
  t.equal(manifest.calibration.scores.length, 12, 'no image is held back');
  const detector = await readDetector(out);
  // A session of its own has the detector's tensors as constants, as a service does.
  const engine = await ScoringEngine.open({ ...device, dedicatedSessions: 1 });
  t.teardown(() => engine.close());
  await engine.warmUp(detector);
  await t.resolves(runSelfTest(engine, detector));

  const paths = (await readdir(dataset)).sort().map((name) => join(dataset, name));
  const runner = await Device.open(device);
  t.teardown(() => runner.close());
  const { local, windows } = cloner;
  const spec = {
    expertCard: embeddedExperts.efficientNet,
    inputSize,
    spans,
    windows: windows.layers,
    local: local.layers,
  };
  const { vectors } = await computeFeatures(runner, spec, {
    photos: paths.map((path) => photoFile(path, Buffer.alloc(32), { inputSize })),
    onProgress: () => {},
  });
  const products = await Products.open(runner);
  const fits = await Promise.all(
    spans.map((span) =>
      fitSpan(products, vectors.get(spanName(span)) as readonly Float32Array[], span.components),
    ),
  );
  const pipeline = new ScoringPipeline(new DirectInference(engine));
  const decoded = await Promise.all(
    paths.map(async (path) => decodeNamedImage(await readFile(path), path, { inputSize })),
  );
  const { images } = await pipeline.infer(detector, decoded, { map: 'none' });
  for (const [image, { outputs, index }] of images.entries()) {
    for (const [at, fit] of fits.entries()) {
      // Of an image that was learned from, all images leave what follows from what all others leave.
      const { ridge, leftOut } = fit as FittedSpan;
      const left = leftOut[image] as number;
      const expected = Math.log((ridge * left) / (left + ridge));
      const value = outputs.value[index * (spans.length + 1) + at] as number;
      t.ok(Math.abs(value - expected) < 5e-3, `image ${image}, span ${at}: ${value}, ${expected}`);
    }
  }

  const mapped = await pipeline.infer(detector, decoded.slice(0, 1), { map: 'discrepancy' });
  const values = mapped.images[0]?.map?.values ?? new Float32Array();
  t.equal(new Set(values).size > values.length / 2, true, 'places that show little still have an order');
  t.ok(values.every((value) => value > 0));

  const good = manifest.calibration.scores.at(-1) as number;
  const { pixels, width, height } = drawSample({ seed: 5, index: 20, size: inputSize, defect: 'scratch' });
  const defect = await encodePng(pixels, width, height, 3);
  const { score } = await pipeline.score({ detector, image: defect }, {});
  t.ok(score > good, `a scratch scores ${score}, good parts at most ${good}`);
});

t.test('a defective photo among the good ones is named and shown, and left out on request', async (t) => {
  const dataset = await photos(t, 12);
  const { pixels, width, height } = drawSample({ seed: 5, index: 30, size: inputSize, defect: 'stain' });
  const stained = join(dataset, 'stained.png');
  await writeFile(stained, await encodePng(pixels, width, height, 3));
  const out = join(dataset, '..', 'doubtful');
  const sheet = `${out}.doubtful.png`;
  const warnings: string[] = [];
  const onWarning = (warning: string): void => void warnings.push(warning);
  const options = { dataset, out, inputSize, device, onWarning };
  const all = await distill(options);
  t.equal(all.data.images, 13, 'never dropped silently');
  t.match(warnings, [/stained\.png is unlike the other good photos \(score .*, 1 of 1\)/, /doubtful\.png$/]);
  t.match(await sharp(sheet).metadata(), { format: 'png', width: 208, height: 208 });
  t.equal((await distill({ ...options, dropDoubtful: true })).data.images, 12);
  const more = join(dataset, '..', 'more');
  await mkdir(more);
  const another = drawSample({ seed: 5, index: 40, size: inputSize });
  await writeFile(join(more, 'new.png'), await encodePng(another.pixels, width, height, 3));
  const grown = await changePhotos({ detector: out, dataset: more, device });
  t.equal(grown.data.images, 13, 'what was dropped does not come back');
  await rm(stained);
  await distill(options);
  await t.rejects(stat(sheet), { code: 'ENOENT' }, 'there is nothing to show any more');
});

t.test('further photos of the same parts are named: by distill, evaluate and calibrate', async (t) => {
  const dataset = await photos(t, 12);
  const root = join(dataset, '..');
  const again = async (index: number): Promise<Buffer> =>
    sharp(join(dataset, `${index}.png`))
      .modulate({ brightness: 0.9 })
      .jpeg({ quality: 90 })
      .toBuffer();
  const good = join(root, 'set/test/good');
  await mkdir(good, { recursive: true });
  await mkdir(join(root, 'set/test/scratch'));
  for (let index = 0; index < 6; index++) {
    const { pixels, width, height } = drawSample({ seed: 5, index: 60 + index, size: inputSize });
    await writeFile(join(good, `new-${index}.png`), await encodePng(pixels, width, height, 3));
  }
  await writeFile(join(good, 'again-3.jpg'), await again(3));
  await writeFile(join(root, 'set/test/scratch/again-4.jpg'), await again(4));
  const warnings: string[] = [];
  const onWarning = (warning: string): void => {
    if (warning.includes('near-copies')) warnings.push(warning);
  };
  const out = join(root, 'flange');
  await distill({ dataset, out, inputSize, device, onWarning });
  t.strictSame(warnings, []);
  const engine = await ScoringEngine.open(device);
  t.teardown(() => engine.close());
  const detector = await readDetector(out);
  const { images } = await evaluate(engine, detector, { root: join(root, 'set') });
  t.strictSame(images.nearCopies, [join(good, 'again-3.jpg')], 'of good images only');
  const source = { goodImages: good };
  await recalibrate(engine, detector, { folder: out, source, out: join(root, 'again'), onWarning });
  t.match(warnings, [/1 of the 7 images are near-copies of photos .*\(again-3\.jpg\)/]);
  await writeFile(join(dataset, 'again-5.jpg'), await again(5));
  await distill({ dataset, out: join(root, 'twins'), inputSize, device, onWarning });
  t.match(warnings[1], /2 of the 13 photos are near-copies of others \(.*5.*\)/);
});

t.test('settings that a linear cloner does not have are refused', async (t) => {
  const refused = (options: Partial<DistillOptions>, message: RegExp) =>
    t.rejects(distill({ dataset: 'photos', out: join(t.testdir(), 'new'), recipe: 'linear', ...options }), {
      name: 'DistillSettingsError',
      message,
    });
  await refused({ epochs: 3 }, /epochs: the linear recipe has no such setting/);
  await refused({ folds: 5 }, /folds: the linear recipe has no such setting/);
  await refused({ inputSize: 32 }, /size 32: must be a multiple of 32 from 64/);
  await refused({ tileScale: 9 }, /tileScale 9: must be a number above 0/);
});
