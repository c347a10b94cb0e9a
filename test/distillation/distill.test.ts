/** Small but complete distillations: from drawn parts to a detector, interrupted and resumed. */
import { copyFile, mkdir, readdir, readFile, readlink, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import sharp from 'sharp';
import t from 'tap';
import { trainingImages, writeSample } from '../../src/datasets/index.js';
import { readDetector } from '../../src/detector/index.js';
import { RecordStore } from '../../src/distillation/images/record-store.js';
import { DistillationInterrupted, type DistillOptions, distill } from '../../src/distillation/index.js';
import { openDetector } from '../../src/index.js';
import { runSelfTest, ScoringEngine } from '../../src/scoring/index.js';
import { importSmallExpert, type SmallExpert } from '../support/experts.js';
import { sameBytes } from '../support/same-bytes.js';

const small = {
  recipe: 'paper',
  inputSize: 32,
  epochs: 4,
  batch: 4,
  seed: 7,
  device: { provider: 'cpu', threads: 1 },
} as const;

let dataset: string;
let expert: SmallExpert;
t.before(async () => {
  const folder = t.testdir({ data: {} });
  dataset = join(folder, 'data');
  expert = await importSmallExpert(folder);
  await writeSample(dataset, { seed: 1, train: 14, good: 1, defective: 1 });
});

/** Returns how many images of the data set a detector recognizes as training images. */
async function learnedCount(detector: string): Promise<number> {
  const { learned } = await readDetector(detector, [expert.folder]);
  const files = await Promise.all((await trainingImages(dataset)).map((path) => readFile(path)));
  return files.filter((file) => learned.has(file)).length;
}

/** Returns how many files of activations this process has open. */
async function openRecords(): Promise<number> {
  const files = await readdir('/proc/self/fd');
  const paths = await Promise.all(files.map((file) => readlink(`/proc/self/fd/${file}`).catch(() => '')));
  return paths.filter((path) => path.includes('mkd-activations-')).length;
}

const clonerOf = (folder: string) => readFile(join(folder, 'cloner.safetensors'));

t.test('the same seed gives the same detector to the bit, with or without interruptions', async (t) => {
  const folder = t.testdir();
  const options: DistillOptions = { ...small, dataset, expertCard: expert.card, out: join(folder, 'whole') };
  const losses: number[] = [];
  const manifest = await distill({
    ...options,
    onProgress: ({ loss }) => loss !== undefined && losses.push(loss),
  });
  t.ok((losses.at(-1) as number) < (losses[0] as number), 'the loss falls');
  t.match(manifest, { data: { images: 14, heldBack: 2 }, recipe: { name: 'paper', seed: 7 } });

  const out = join(folder, 'parts');
  for (const [stopIn, stopAfter] of [
    ['distill', 2],
    ['distill', 7],
    ['calibrate', 1],
  ] as const) {
    const stop = new AbortController();
    const run = distill({
      ...options,
      out,
      resume: stopIn === 'calibrate' || stopAfter > 2,
      signal: stop.signal,
      onProgress: ({ phase, done }) => phase === stopIn && done >= stopAfter && stop.abort(),
    });
    await t.rejects(run, { name: 'DistillationInterrupted', checkpoint: `${out}.checkpoint` });
    await t.rejects(stat(join(out, 'manifest.json')), 'no incomplete detector is written');
  }
  const resumed = await distill({ ...options, out, resume: true });
  t.ok(sameBytes(await clonerOf(out), await clonerOf(join(folder, 'whole'))));
  t.strictSame(resumed.calibration, manifest.calibration);
  t.equal(resumed.distillation.loss, manifest.distillation.loss);
  await t.rejects(stat(`${out}.checkpoint`), 'the checkpoint is gone');

  t.test('activations on disk give the same detector as in memory', async (t) => {
    const spilled = join(folder, 'spilled');
    await distill({ ...options, out: spilled, memoryBytes: 100_000 });
    t.ok(sameBytes(await clonerOf(spilled), await clonerOf(join(folder, 'whole'))));
  });

  t.test('another seed gives another detector', async (t) => {
    const other = join(folder, 'other');
    await distill({ ...options, out: other, seed: 8, epochs: 1 });
    t.notOk(sameBytes(await clonerOf(other), await clonerOf(join(folder, 'whole'))));
  });

  t.test('a checkpoint made with other settings is not resumed', async (t) => {
    const mixed = join(folder, 'mixed');
    const stop = new AbortController();
    const onProgress: DistillOptions['onProgress'] = ({ phase }) => phase === 'distill' && stop.abort();
    await t.rejects(
      distill({ ...options, out: mixed, signal: stop.signal, onProgress }),
      DistillationInterrupted,
    );
    await t.rejects(distill({ ...options, out: mixed, resume: true, batch: 6 }), {
      name: 'CheckpointError',
      message: /batch 4, now it is 6/,
    });
    await t.rejects(distill({ ...options, out: mixed }), {
      name: 'CheckpointError',
      message: /mixed\.checkpoint has the checkpoint of an interrupted run; continue with --resume/,
    });
    const photos = join(folder, 'photos');
    await writeSample(photos, { seed: 2, train: 14, good: 1, defective: 1 });
    await t.rejects(distill({ ...options, dataset: photos, out: mixed, resume: true }), {
      message: /made with other images; use the same settings and images/,
    });
  });

  t.test('the detector is read back with its folded weights and training images', async (t) => {
    const detector = await readDetector(join(folder, 'whole'), [expert.folder]);
    t.equal(await learnedCount(join(folder, 'whole')), 12);
    t.notOk(detector.learned.has(await clonerOf(out)));
    t.equal(detector.shape.inputSize, 32);
    t.match(detector.version, /^[0-9a-f]{12}$/);
  });
});

t.test('with cross-fitting every image counts for the threshold, also after interruptions', async (t) => {
  const folder = t.testdir();
  const options: DistillOptions = {
    ...small,
    dataset,
    expertCard: expert.card,
    epochs: 2,
    folds: 2,
    falseAlarmRate: 1 / 15,
    out: '',
  };
  const whole = await distill({ ...options, out: join(folder, 'whole') });
  t.match(whole.data, { images: 14, heldBack: 14, folds: 2 });
  t.equal(whole.calibration.scores.length, 14);
  t.equal(await learnedCount(join(folder, 'whole')), 14, 'the last cloner is trained on all');
  const highest = whole.calibration.scores.at(-1) as number;
  t.ok(Math.abs(whole.calibration.threshold - highest) < 0.01, '14 images support a rate of 1 in 15');
  t.equal(Object.values(whole.calibration.directions)[0]?.length, 14);

  const out = join(folder, 'parts');
  for (const [fold, resume] of [
    [2, false],
    [undefined, true],
  ] as const) {
    const stop = new AbortController();
    const run = distill({
      ...options,
      out,
      resume,
      signal: stop.signal,
      onProgress: (at) => at.phase === 'distill' && at.fold === fold && at.done > 1 && stop.abort(),
    });
    await t.rejects(
      run,
      { name: 'DistillationInterrupted', checkpoint: `${out}.checkpoint` },
      `in fold ${fold ?? 'none'}`,
    );
  }
  await t.rejects(distill({ ...options, out, resume: true, folds: 3 }), {
    message: /folds 2, now it is 3/,
  });
  await t.rejects(distill({ ...options, out, resume: true, folds: undefined }), {
    message: /made with --folds, now it is without; use the same settings, or remove .*parts\.checkpoint/,
  });
  const seen = new Set<number | undefined>();
  const resumed = await distill({
    ...options,
    out,
    resume: true,
    onProgress: ({ fold }) => seen.add(fold),
  });
  t.strictSame([...seen], [undefined], 'finished folds are not trained again');
  t.strictSame(resumed.calibration, whole.calibration);
  t.ok(sameBytes(await clonerOf(out), await clonerOf(join(folder, 'whole'))));
  await t.rejects(stat(`${out}.checkpoint`), 'the checkpoint is gone');

  await t.rejects(distill({ ...options, out, folds: 8 }), { message: /folds 8: must be .* from 2 to 7/ });
  await t.rejects(distill({ ...options, out, folds: 3, resume: true }), {
    message: /there is no checkpoint/,
  });
});

t.test('another network can be the expert: the deepest of its named layers are scored', async (t) => {
  const out = join(t.testdir(), 'detector');
  const manifest = await distill({ ...small, dataset, out, expertCard: expert.card });
  t.strictSame(manifest.trainingLayers, expert.layers);
  t.strictSame(manifest.scoringLayers, expert.layers.slice(-3));
  await t.rejects(readDetector(out), { message: /the detector's expert 'mobile'/ });
  const detector = await readDetector(out, [expert.folder]);
  const engine = await ScoringEngine.open(small.device);
  t.teardown(() => engine.close());
  t.ok((await runSelfTest(engine, detector)).scoreDifference <= 1e-4);
});

t.test(
  'images larger than the input are cut into tiles, in distillation, calibration and scoring',
  async (t) => {
    const folder = t.testdir();
    const out = join(folder, 'tiled');
    const settings = { ...small, dataset, out, expertCard: expert.card, epochs: 1 };
    const manifest = await distill({ ...settings, tileScale: 0.25 });
    t.strictSame(manifest.tiling, { scale: 0.25, overlap: 8 });
    t.equal(manifest.data.heldBack, 2);
    t.equal(manifest.calibration.scores.length, 2, 'one score for each image, not for each tile');
    const detector = await openDetector(out, { ...small.device, expertFolders: [expert.folder] });
    t.teardown(() => detector.close());
    const [path] = await trainingImages(dataset);
    const bytes = await readFile(path as string);
    const { map, score, ...rest } = await detector.localize(bytes);
    t.ok(map.width > 8, 'the map is larger than one tile');
    t.equal((await rest.fullMap()).length, 256 * 256);
    t.equal((await detector.score(bytes)).score.toFixed(3), score.toFixed(3));
    await t.rejects(distill({ ...settings, tileScale: 9 }), { message: /tileScale 9: must be/ });
  },
);

t.test('the paper recipe is recorded with its settings', async (t) => {
  const out = join(t.testdir(), 'paper');
  const manifest = await distill({ ...small, dataset, out, epochs: 1 });
  t.match(manifest, { lambda: 0.5, localization: 'guided', recipe: { name: 'paper', learningRate: 1e-3 } });
  t.strictSame(manifest.trainingLayers, ['pool2', 'pool3', 'pool4', 'pool5']);
  t.strictSame(manifest.scoringLayers, ['pool3', 'pool4', 'pool5']);
  const other = await distill({ ...small, dataset, out, epochs: 1, lambda: 0.01 });
  t.match(other, { lambda: 0.01, terms: { value: [0.01, 0.01, 0.01], direction: [1, 1, 1] } });
  const notes = other.recipe.notes.join('\n');
  t.match(notes, /lambda 0\.01 weights the value discrepancies/, 'the notes describe these settings');
  t.match(notes, /Epochs: 1, batch size: 4; the authors use 601 and 64/);
  t.notMatch(notes, /tiles/, 'and nothing else');
});

t.test('invalid settings are rejected by name', async (t) => {
  const folder = t.testdir({ photos: { 'a.png': 'x' }, taken: { 'note.txt': 'mine' } });
  const out = join(folder, 'out');
  await t.rejects(distill({ dataset, out, recipe: 'paper', inputSize: 100 }), {
    message: /size 100: must be a multiple of 32/,
  });
  await t.rejects(distill({ dataset, out, recipe: 'paper', batch: 1 }), { message: /batch 1/ });
  await t.rejects(distill({ dataset, out, recipe: 'paper', epochs: 0 }), { message: /epochs 0/ });
  await t.rejects(distill({ dataset, out, recipe: 'paper', lambda: -1 }), {
    message: /lambda -1: must be a number of at least 0/,
  });
  await t.rejects(distill({ dataset: join(folder, 'photos'), out }), {
    message: /1 image is too few; at least 8/,
  });
  await t.rejects(distill({ ...small, dataset, out, resume: true }), { message: /no checkpoint/ });
  await t.rejects(distill({ dataset, out: join(folder, 'taken') }), {
    message: /is not a detector; choose a new folder/,
  });
});

t.test('photos of 12 bits in 16 give the detector that the same photos of 8 bits give', async (t) => {
  const folder = t.testdir({ deep: {} });
  for (const path of await trainingImages(dataset)) {
    const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
    const { width, height, channels } = info;
    const deep = sharp(
      Uint16Array.from(data, (value) => 16 * value),
      { raw: { width, height, channels } },
    );
    await deep
      .toColourspace('rgb16')
      .png()
      .toFile(join(folder, 'deep', basename(path)));
  }
  const settings = { ...small, expertCard: expert.card, epochs: 1 };
  const plain = join(folder, 'plain');
  await distill({ ...settings, dataset, out: plain });
  const out = join(folder, 'out');
  const given = await distill({
    ...settings,
    dataset: join(folder, 'deep'),
    out,
    range: { low: 0, high: 4080 },
  });
  t.strictSame(given.range, { low: 0, high: 4080 });
  t.strictSame(
    given.calibration.scores,
    (await readDetector(plain, [expert.folder])).manifest.calibration.scores,
  );
  const measured = await distill({ ...settings, dataset: join(folder, 'deep'), out });
  t.ok(
    measured.range && measured.range.low >= 0 && measured.range.high <= 4080 && measured.range.high > 2000,
  );
  const detector = await openDetector(out, { ...small.device, expertFolders: [expert.folder] });
  t.teardown(() => detector.close());
  const [path = ''] = await trainingImages(join(folder, 'deep'));
  t.equal((await detector.score(await readFile(path))).warnings, undefined);
  const [eight = ''] = await trainingImages(dataset);
  const brighter = await sharp(eight).linear(4, 0).toColourspace('rgb16').png().toBuffer();
  t.match((await detector.score(brighter)).warnings, [/outside the detector's value range/]);
  const wrong = { low: 4095, high: 0 };
  await t.rejects(distill({ ...settings, dataset, out, range: wrong }), {
    message: /range 4095:0: must be two/,
  });
});

t.test('duplicate images are used once', async (t) => {
  const folder = t.testdir();
  const twice = join(folder, 'photos');
  const photos = await trainingImages(dataset);
  await mkdir(twice);
  for (const path of photos) await copyFile(path, join(twice, basename(path)));
  await copyFile(photos[3] as string, join(twice, 'again.png'));
  const { data } = await distill({
    ...small,
    dataset: twice,
    expertCard: expert.card,
    out: join(folder, 'out'),
    epochs: 1,
  });
  t.match(data, { images: 14, copies: 1, heldBack: 2 });
  const few = join(folder, 'few');
  await mkdir(few);
  for (let at = 0; at < 8; at++) await copyFile(photos[at % 7] as string, join(few, `${at}.png`));
  await t.rejects(distill({ ...small, dataset: few, out: join(folder, 'none') }), {
    message: /7 images are too few, copies not counted; at least 8/,
  });
});

t.test(
  'two distillations to one folder do not both run, and a lock of a process that ended is taken over',
  async (t) => {
    const folder = t.testdir();
    const out = join(folder, 'out');
    const settings = { ...small, dataset, out, expertCard: expert.card, epochs: 1 };
    const both = await Promise.allSettled([distill(settings), distill(settings)]);
    const [refused, ...others] = both.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    t.match(refused, {
      name: 'LockedError',
      message: /process \d+ is writing .*out; wait for it, or remove .*out\.lock/,
    });
    t.strictSame(others, [], 'the other one is done');
    t.strictSame(await readdir(folder), ['out'], 'the lock is gone');
    // No process has this number.
    await writeFile(`${out}.lock`, `4194304 ${hostname()}\n`);
    await distill(settings);
    // A machine that touches its lock lives; one that has not for a minute is gone.
    await writeFile(`${out}.lock`, '1 elsewhere\n');
    await t.rejects(distill(settings), { message: /process 1 on elsewhere is writing .*out/ });
    const [now, before] = [new Date(), new Date(Date.now() - 61_000)];
    await utimes(`${out}.lock`, now, before);
    await distill(settings);
    t.strictSame(await readdir(folder), ['out']);
  },
);

t.test('an invalid image is named', async (t) => {
  const folder = t.testdir(
    Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`${i}.png`, `no image ${i}`])),
  );
  await t.rejects(distill({ ...small, dataset: folder, out: join(folder, 'out') }), {
    message: /^\/.*\/0\.png: this is not a JPEG/,
  });
});

t.test('records beyond the limit are kept on disk', async (t) => {
  const store = new RecordStore(4, 8);
  for (let i = 0; i < 5; i++) await store.append(Uint8Array.of(i, i, i, i));
  if (process.platform === 'linux') t.equal(await openRecords(), 1, 'one file is open');
  const target = new Uint8Array(20);
  for (const [row, index] of [4, 0, 3, 2, 1].entries()) await store.read(index, target, row * 4);
  t.strictSame(
    [...target].filter((_, at) => at % 4 === 0),
    [4, 0, 3, 2, 1],
  );
  await t.rejects(store.read(5, target, 0), RangeError);
  await store.close();
  if (process.platform === 'linux') t.equal(await openRecords(), 0, 'the file is closed');
});
