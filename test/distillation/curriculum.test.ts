/** Images for training, and their order. */
import t from 'tap';
import { Curriculum } from '../../src/distillation/images/curriculum.js';

const settings = { batch: 16, epochs: 3 };

t.test('held-back images are never used for training; all others are, once per epoch', async (t) => {
  const curriculum = new Curriculum(40, settings, 1);
  t.equal(curriculum.heldBack.length, 6);
  t.equal(curriculum.training.length, 34);
  for (let epoch = 0; epoch < curriculum.epochs; epoch++) {
    const seen = Array.from({ length: curriculum.stepsPerEpoch }, (_, step) =>
      curriculum.batch(epoch * curriculum.stepsPerEpoch + step),
    );
    const ascending = (images: readonly number[]) => [...images].sort((a, b) => a - b);
    t.strictSame(ascending(seen.flat()), ascending(curriculum.training));
    t.notOk(seen.flat().some((index) => curriculum.heldBack.includes(index)));
    for (const batch of seen.slice(0, -1)) t.equal(batch.length, 16);
  }
  t.strictSame(
    new Curriculum(40, settings, 1).batch(4),
    curriculum.batch(4),
    'the seed determines the order',
  );
  t.notSame(new Curriculum(40, settings, 2).batch(4), curriculum.batch(4));
});

t.test('tiled images give the same number of random squares and are held back as a whole', async (t) => {
  const size = 64;
  const tiling = { scale: 1, overlap: 16 };
  const curriculum = new Curriculum(50, { ...settings, tiling }, 1);
  t.equal(curriculum.squares, Math.ceil(2048 / 50));
  const { squares, heldBack, heldBackFiles, training } = curriculum;
  t.equal(heldBack.length + training.length, 50 * squares);
  t.ok(heldBack.every((square) => heldBackFiles.includes(Math.floor(square / squares))));
  t.notOk(training.some((square) => heldBackFiles.includes(Math.floor(square / squares))));
  const first = training.slice(0, 50 - heldBackFiles.length).map((square) => Math.floor(square / squares));
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
    const { heldBackFiles, training } = new Curriculum(40, settings, 1, { fold, of: 3 });
    t.equal(heldBackFiles.length + training.length, 40);
    t.notOk(training.some((image) => heldBackFiles.includes(image)));
    return heldBackFiles;
  });
  t.strictSame(
    held.sort((a, b) => a - b),
    Array.from({ length: 40 }, (_, file) => file),
  );
  t.equal(new Curriculum(40, settings, 1, 'none').training.length, 40);
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

t.test('photos of one part are held back together', async (t) => {
  const groups = Array.from({ length: 40 }, (_, file) => Math.floor(file / 4));
  for (const holdBack of ['share', { fold: 1, of: 3 }] as const) {
    const { heldBackFiles, training } = new Curriculum(40, settings, 1, holdBack, groups);
    const heldBack = new Set(heldBackFiles.map((file) => groups[file]));
    t.ok(heldBack.size > 0 && heldBack.size < 10);
    t.notOk(training.some((file) => heldBack.has(groups[file])));
    t.equal(heldBackFiles.length + training.length, 40);
  }
});
