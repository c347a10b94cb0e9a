/** AUROC and average precision by hand. Goldens of scikit-learn belong to the evaluation's next step. */
import t from 'tap';
import { auroc, averagePrecision } from '../../src/evaluation/index.js';

const f = (...numbers: number[]) => Float32Array.from(numbers);

t.test('AUROC is the share of pairs in the right order, ties one half', async (t) => {
  t.equal(auroc(f(3, 4), f(1, 2)), 1);
  t.equal(auroc(f(1, 2), f(3, 4)), 0);
  t.equal(auroc(f(2, 2), f(2, 2, 2)), 0.5);
  t.equal(auroc(f(0.35, 0.8), f(0.1, 0.4)), 0.75);
  t.equal(auroc(f(1, 3), f(2, 3, 0)), (1 + 2.5) / 6);
});

t.test('average precision sums precision over gains in recall', async (t) => {
  // scikit-learn's own example: average_precision_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) = 0.8333
  t.ok(Math.abs(averagePrecision(f(0.35, 0.8), f(0.1, 0.4)) - 5 / 6) < 1e-12);
  t.equal(averagePrecision(f(2, 3), f(1)), 1);
  t.equal(averagePrecision(f(1, 1), f(1, 1)), 0.5, 'all equal: the share of positives');
});

t.test('a ranking of one kind only is refused, and so is a score that is no number', async (t) => {
  t.throws(() => auroc(f(), f(1)), RangeError);
  t.throws(() => averagePrecision(f(1), f()), RangeError);
  t.throws(() => auroc(f(Number.NaN), f(1)), /not a number/);
});
