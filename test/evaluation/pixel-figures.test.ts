/** Figures over pixels: on masks drawn by hand, and against golden data from scikit-learn and SciPy. */
import { readFile } from 'node:fs/promises';
import t from 'tap';
import { judgeMap, pixelFigures } from '../../src/evaluation/index.js';
import { labelComponents } from '../../src/imaging/index.js';
import type { EvaluationGoldens } from '../support/evaluation-goldens.js';

const { maps: golden } = JSON.parse(
  await readFile(new URL('../../../test/goldens/evaluation.json', import.meta.url), 'utf8'),
) as EvaluationGoldens;

/** A mask or map drawn as text: a digit is itself, a point is 0. */
const drawn = (...rows: string[]): number[] =>
  [...rows.join('')].map((sign) => (sign === '.' ? 0 : Number(sign)));

t.test('pixels that touch, even at a corner, are one component', async (t) => {
  const mask = drawn(
    '11..1', //
    '..1..',
    '.....',
    '1...1',
    '1..11',
  );
  const { labels, count } = labelComponents(mask, 5);
  t.equal(count, 4);
  t.strictSame(
    [...labels],
    drawn(
      '11..2', //
      '..1..',
      '.....',
      '3...4',
      '3..44',
    ),
  );
});

t.test('a component does not continue over the edge in the next row', async (t) => {
  t.equal(labelComponents(drawn('..1', '1..', '...'), 3).count, 2);
});

const judged = (kind: string, values: readonly number[], mask?: readonly number[]) =>
  judgeMap(kind, { width: 4, values: Float32Array.from(values) }, mask && Uint8Array.from(mask));

t.test('a small region counts as much as a large one in AUPRO, but not in AUROC', async (t) => {
  const mask = drawn('11..', '11..', '....', '...1');
  // The large region is found at once, the small one after half of the clean pixels.
  const values = [9, 9, 5, 5, 9, 9, 5, 5, 5, 1, 1, 1, 1, 1, 5, 3];
  const figures = pixelFigures([judged('spot', values, mask)]);
  t.equal(figures?.aupro, 0.5);
  t.ok(Math.abs((figures?.pixelAuroc ?? 0) - (4 + 5 / 11) / 5) < 1e-12);
});

t.test('good images count only in figures over all images', async (t) => {
  const defective = judged(
    'spot',
    drawn('9...', '....', '....', '....'),
    drawn('1...', '....', '....', '....'),
  );
  const good = judged(
    'good',
    Array.from({ length: 16 }, () => 10),
  );
  const figures = pixelFigures([defective, good]);
  t.equal(figures?.pixelAurocDefectiveOnly, 1);
  t.ok(Math.abs((figures?.pixelAuroc ?? 0) - 15 / 31) < 1e-12);
});

t.test('without any mask there are no figures', async (t) => {
  t.equal(pixelFigures([judged('good', drawn('1234', '1234', '1234', '1234'))]), null);
});

t.test('maps with ties agree with scikit-learn and SciPy', async (t) => {
  const maps = golden.images.map(({ kind, mask, values }) =>
    judgeMap(
      kind,
      { width: golden.size, values: Float32Array.from(values) },
      kind === 'good' ? undefined : Uint8Array.from(mask),
    ),
  );
  t.equal(
    maps.reduce((sum, { regions }) => sum + regions.length, 0),
    golden.regions,
  );
  const figures = pixelFigures(maps);
  for (const name of ['pixelAuroc', 'pixelAurocDefectiveOnly', 'pixelAveragePrecision', 'aupro'] as const) {
    t.ok(
      Math.abs((figures?.[name] ?? 0) - golden[name]) < 1e-9,
      `${name} ${figures?.[name]}, expected ${golden[name]}`,
    );
  }
});
