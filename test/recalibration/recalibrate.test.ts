/** Recalibrating the embedded detector: new good images, labeled verdicts, rejected inputs. */
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import t from 'tap';
import { drawSample } from '../../src/datasets/index.js';
import { modelsFolder, readDetector, scoreRounding } from '../../src/detector/index.js';
import { type RecalibrateOptions, recalibrate } from '../../src/recalibration/index.js';
import { DirectInference, runSelfTest, ScoringEngine, ScoringPipeline } from '../../src/scoring/index.js';
import { testProvider } from '../support/provider.js';

let engine: ScoringEngine;
t.before(async () => {
  engine = await ScoringEngine.open({ provider: testProvider });
});
t.teardown(() => engine.close());

/** Copies the embedded detector. @returns the copy's folder and the folder that contains it. */
async function copied(t: Tap): Promise<{ folder: string; root: string }> {
  const root = t.testdir();
  const folder = join(root, 'detector');
  await cp(join(modelsFolder, 'sample'), folder, { recursive: true });
  return { folder, root };
}
type Tap = { testdir(): string };

const calibrated = async (options: RecalibrateOptions) =>
  recalibrate(engine, await readDetector(options.folder), options);

t.test('new good images give a new threshold, a new version and the flipped verdicts', async (t) => {
  const { folder, root } = await copied(t);
  const old = await readDetector(folder);
  const images = 4;
  const drawn = Array.from({ length: images }, (_, index) => drawSample({ seed: 77, index }));
  for (const [index, { pixels, width, height }] of drawn.entries()) {
    await sharp(pixels, { raw: { width, height, channels: 3 } }).toFile(join(root, `${index}.png`));
  }
  const result = await calibrated({ folder, source: { goodImages: root } });
  const now = await readDetector(folder);
  t.equal(now.version, result.version);
  t.not(now.version, old.version);
  t.strictSame(now.manifest.calibration.earlierVersions, [old.version]);
  t.equal(result.after.scores.length, images);
  t.equal(result.after.falseAlarmRate, 1 / (images + 1), 'the lowest rate that four images support');
  t.ok(Math.abs(result.after.threshold - Math.max(...result.after.scores)) < 0.01);
  t.equal(result.verdicts, images);
  const old_ = old.manifest.calibration.threshold;
  t.equal(result.flips.length, result.after.scores.filter((score) => score > old_).length);
  await t.resolves(runSelfTest(engine, now), 'it scores as before');
  const pipeline = new ScoringPipeline(new DirectInference(engine));
  const files = (await readdir(root)).filter((name) => name.endsWith('.png'));
  const again = await Promise.all(
    files.map(async (name) => pipeline.score({ detector: now, image: await readFile(join(root, name)) })),
  );
  const verdicts = again.map(({ verdict }) => verdict);
  t.strictSame(verdicts, Array(images).fill('good'), 'rounding without a gradient does not change verdicts');
});

t.test('a threshold that no score can reach is refused: it could not be answered', async (t) => {
  const { folder } = await copied(t);
  for (const threshold of [1e308, -2e9, Number.NaN]) {
    const refused = calibrated({ folder, source: { threshold } });
    await t.rejects(refused, { message: /must be a number from -1000000000/ });
  }
  const { version } = await calibrated({ folder, source: { threshold: 1e9 } });
  t.equal((await readDetector(folder)).version, version);
});

t.test('labeled verdicts set the threshold; wrong verdicts flip, right ones stay', async (t) => {
  const { folder, root } = await copied(t);
  const { version, manifest } = await readDetector(folder);
  const { threshold, scores } = manifest.calibration;
  const line = (image: string, score: number, label?: string) =>
    JSON.stringify({ image, version, score, label });
  const lines = [
    // Labeled again below.
    line('good-0', threshold * 1.05, 'anomalous'),
    // A new kind of part, good, which the old threshold called anomalous.
    ...Array.from({ length: 19 }, (_, index) =>
      line(`good-${index}`, threshold * (1.05 + index / 100), 'good'),
    ),
    line('crack', threshold * 3, 'anomalous'),
    line('unknown', threshold * 1.1),
    '',
  ];
  const file = join(root, 'verdicts.jsonl');
  await writeFile(file, lines.join('\n'));
  const out = join(root, 'relabeled');
  const result = await calibrated({ folder, source: { verdicts: file }, falseAlarmRate: 0.05, out });
  t.ok(Math.abs(result.after.threshold - threshold * 1.23) < 0.01);
  t.equal(result.verdicts, 21);
  t.equal(result.flips.length, 20, 'nineteen good ones and the unlabeled one');
  t.strictSame(result.flips[0], {
    image: 'good-0',
    score: threshold * 1.05,
    before: 'anomalous',
    after: 'good',
    label: 'good',
  });
  t.strictSame((await readDetector(folder)).version, version, 'with --out the detector does not change');
  t.strictSame(
    (await readDetector(out)).manifest.calibration.mapThresholds,
    manifest.calibration.mapThresholds,
  );

  const added = await calibrated({ folder, source: { verdicts: file }, add: true });
  t.equal(added.after.scores.length, scores.length + 19);
  // Measured again, in other batches: each score differs by as much as scores may.
  const again = (await readFile(file, 'utf8')).replace(/"score":([-\d.]+)/g, (_, score: string) => {
    const value = Number(score);
    return `"score":${value + 0.9 * scoreRounding(manifest.terms, value)}`;
  });
  await writeFile(file, again);
  const repeated = await calibrated({ folder, source: { verdicts: file }, add: true });
  t.equal(repeated.after.scores.length, scores.length + 19, 'the same images count once');
  await t.resolves(
    calibrated({ folder, source: { verdicts: file } }),
    'verdicts of the previous version still count',
  );
});

t.test('invalid input is rejected with a remedy, and the detector does not change', async (t) => {
  const { folder, root } = await copied(t);
  const before = await readFile(join(folder, 'manifest.json'), 'utf8');
  const { version } = await readDetector(folder);
  const file = join(root, 'verdicts.jsonl');
  const refused = async (text: string, message: RegExp, falseAlarmRate?: number) => {
    await writeFile(file, text);
    await t.rejects(calibrated({ folder, source: { verdicts: file }, falseAlarmRate }), {
      name: 'CalibrationError',
      message,
    });
  };
  const good = JSON.stringify({ image: 'a', version, score: 0.1, label: 'good' });
  await refused('scores', /line 1 is not JSON/);
  await refused(
    `${good}\n${good.replace('{"image":"a"', '{"learned":true,"image":"b"')}`,
    /trained on 1 of the 2 images labeled good in .* \(b\), which therefore score too low; use new good images/,
  );
  await refused(`${good}\n{"image": "a"}`, /line 2 is not a verdict; it must have image, version and score/);
  await refused(
    good.replace(version, 'ffffffffffff'),
    /line 1 was scored by version ffffffffffff; this detector is/,
  );
  await refused(good, /at least 19 good images.*there are 1/, 0.05);
  await refused('', /no good image/);
  await t.rejects(calibrated({ folder, source: { verdicts: join(root, 'none') } }), /cannot be read/);
  await t.rejects(calibrated({ folder, source: { goodImages: join(root, 'none') } }), {
    name: 'DatasetError',
  });
  t.equal(await readFile(join(folder, 'manifest.json'), 'utf8'), before);
});
