/** Images for training and their order; augmented copies and synthetic defects. */
import t from 'tap';
import { drawSample } from '../../src/datasets/index.js';
import { Curriculum } from '../../src/distillation/images/curriculum.js';
import { synthesizeDefect } from '../../src/distillation/images/synthetic-defects.js';
import { augment } from '../../src/imaging/index.js';
import { randomStream } from '../../src/random/random.js';

const size = 64;
const settings = { batch: 16, epochs: 3, inputSize: size, augmentation: { minImages: 60, defects: 1 / 3 } };
const part = (index: number) => drawSample({ seed: 3, index, size }).pixels;

t.test('held-back images are never used for training; all others are, once per epoch', async (t) => {
  const curriculum = new Curriculum(40, settings, 1);
  t.equal(curriculum.heldBack.length, 6);
  t.equal(curriculum.trainingSquares.length, 34);
  t.strictSame(
    curriculum.imageMakers.map(({ length }) => length),
    [26, 20],
    'augmented copies up to 60, and defects on a third of them',
  );
  for (let epoch = 0; epoch < curriculum.epochs; epoch++) {
    const seen = Array.from({ length: curriculum.stepsPerEpoch }, (_, step) =>
      curriculum.batch(epoch * curriculum.stepsPerEpoch + step),
    );
    const good = seen.flat().filter((index) => curriculum.good.includes(index));
    t.strictSame(
      [...good].sort((a, b) => a - b),
      [...curriculum.good].sort((a, b) => a - b),
    );
    t.notOk(seen.flat().some((index) => curriculum.heldBack.includes(index)));
    for (const batch of seen.slice(0, -1)) t.equal(batch.length, 16);
  }
  t.strictSame(
    new Curriculum(40, settings, 1).batch(7),
    curriculum.batch(7),
    'the seed determines the order',
  );
  t.notSame(new Curriculum(40, settings, 2).batch(7), curriculum.batch(7));
});

t.test('tiled images give the same number of random squares and are held back as a whole', async (t) => {
  const tiling = { scale: 1, overlap: 16 };
  const curriculum = new Curriculum(50, { ...settings, tiling }, 1);
  t.equal(curriculum.squares, Math.ceil(2048 / 50));
  const { squares, heldBack, heldBackFiles, trainingSquares } = curriculum;
  t.equal(heldBack.length + trainingSquares.length, 50 * squares);
  t.ok(heldBack.every((square) => heldBackFiles.includes(Math.floor(square / squares))));
  t.notOk(trainingSquares.some((square) => heldBackFiles.includes(Math.floor(square / squares))));
  const first = trainingSquares
    .slice(0, 50 - heldBackFiles.length)
    .map((square) => Math.floor(square / squares));
  t.equal(new Set(first).size, first.length, 'the first squares are from different files');
  const grid = { width: 300, height: 100, tile: { width: size, height: size }, columns: [], rows: [] };
  const corners = curriculum.corners(7, grid);
  t.equal(corners.length, squares);
  t.ok(corners.every(([x, y]) => x >= 0 && y >= 0 && x <= 300 - size && y <= 100 - size));
  t.ok(corners.some(([x]) => x === 0) || corners.some(([x]) => x === 300 - size), 'edges are included');
  t.strictSame(corners, new Curriculum(50, { ...settings, tiling }, 1).corners(7, grid));
});

t.test('folds hold back every image once; without hold-back all are trained on', async (t) => {
  const held = [0, 1, 2].flatMap((fold) => {
    const { heldBackFiles, trainingSquares } = new Curriculum(40, settings, 1, { fold, of: 3 });
    t.equal(heldBackFiles.length + trainingSquares.length, 40);
    t.notOk(trainingSquares.some((image) => heldBackFiles.includes(image)));
    return heldBackFiles;
  });
  t.strictSame(
    held.sort((a, b) => a - b),
    Array.from({ length: 40 }, (_, file) => file),
  );
  t.equal(new Curriculum(40, settings, 1, 'none').trainingSquares.length, 40);
});

t.test('the number of epochs follows from the total number of images', async (t) => {
  const epochs = { images: 1000, least: 5 };
  t.equal(new Curriculum(100, { ...settings, epochs }, 0).epochs, 12);
  t.equal(new Curriculum(10_000, { ...settings, epochs }, 0).epochs, 5);
});

t.test('ten or more states of the last half are averaged, with the last, at most every tenth', async (t) => {
  const averaged = (epochs: number): number[] => {
    const curriculum = new Curriculum(40, { ...settings, epochs }, 0);
    return Array.from({ length: epochs }, (_, epoch) => epoch).filter((epoch) =>
      curriculum.isAveraged(epoch),
    );
  };
  t.strictSame(averaged(1), [], 'a single state needs no average');
  t.strictSame(averaged(23), [12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22]);
  t.strictSame(averaged(60), [32, 35, 38, 41, 44, 47, 50, 53, 56, 59]);
  t.strictSame([averaged(601).length, ...averaged(601).slice(-2)], [30, 590, 600]);
});

t.test('a synthetic defect changes the pixels of its mask and hardly any others', async (t) => {
  const random = randomStream(0, 'defects');
  for (let index = 0; index < 40; index++) {
    const image = part(index % 4);
    const { pixels, mask } = synthesizeDefect(image, part((index + 1) % 4), size, random);
    const difference = (at: number): number =>
      [0, 1, 2].reduce(
        (sum, channel) =>
          sum + Math.abs((pixels[3 * at + channel] as number) - (image[3 * at + channel] as number)),
        0,
      ) / 3;
    const marked = [...mask.keys()].filter((at) => mask[at] === 1);
    t.ok(marked.length >= 8 && marked.length < 0.3 * mask.length, `${marked.length} pixels`);
    t.ok(marked.every((at) => difference(at) > 3));
    const changed = [...mask.keys()].filter((at) => difference(at) > 0);
    t.ok(changed.length < 0.4 * mask.length, 'the rest of the part does not change');
  }
});

t.test('a neutral variation is the image itself; brightness and shift are applied', async (t) => {
  const image = part(0);
  const still = { rotation: 0, scale: 1, shift: [0, 0], contrast: 1, brightness: 1 } as const;
  t.ok(Buffer.from(await augment(image, size, still)).equals(Buffer.from(image)));
  const mean = (pixels: Uint8Array): number => pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
  const brighter = await augment(image, size, { ...still, brightness: 1.1 });
  t.ok(Math.abs(mean(brighter) / mean(image) - 1.1) < 0.02);
  const shifted = await augment(image, size, { ...still, shift: [4 / size, 0] });
  const row = 3 * size * 32;
  t.strictSame(
    [...shifted.subarray(row + 3 * 8, row + 3 * 40)],
    [...image.subarray(row + 3 * 4, row + 3 * 36)],
    'column 4 moves to column 8',
  );
});

t.test('photos of one part are held back together', async (t) => {
  const groups = Array.from({ length: 40 }, (_, file) => Math.floor(file / 4));
  for (const holdBack of ['share', { fold: 1, of: 3 }] as const) {
    const { heldBackFiles, trainingSquares } = new Curriculum(40, settings, 1, holdBack, groups);
    const heldBack = new Set(heldBackFiles.map((file) => groups[file]));
    t.ok(heldBack.size > 0 && heldBack.size < 10);
    t.notOk(trainingSquares.some((file) => heldBack.has(groups[file])));
    t.equal(heldBackFiles.length + trainingSquares.length, 40);
  }
});
