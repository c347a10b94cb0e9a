/** Measures of separation: computed by hand, and against golden data from scikit-learn. */
import { readFile } from 'node:fs/promises';
import t from 'tap';
import {
  auroc,
  averagePrecision,
  bestF1,
  bootstrapInterval,
  partialAuroc,
} from '../../src/evaluation/index.js';
import type { EvaluationGoldens } from '../support/evaluation-goldens.js';

const f = (...numbers: number[]) => Float32Array.from(numbers);
const goldens = JSON.parse(
  await readFile(new URL('../../../test/goldens/evaluation.json', import.meta.url), 'utf8'),
) as EvaluationGoldens;

t.test('AUROC is the share of pairs in the right order, ties one half', async (t) => {
  t.equal(auroc(f(3, 4), f(1, 2)), 1);
  t.equal(auroc(f(1, 2), f(3, 4)), 0);
  t.equal(auroc(f(2, 2), f(2, 2, 2)), 0.5);
  t.equal(auroc(f(0.35, 0.8), f(0.1, 0.4)), 0.75);
  t.ok(Math.abs(auroc(f(1, 3), f(2, 3, 0)) - (1 + 2.5) / 6) < 1e-12);
});

t.test('a partial AUROC counts positives found before the limit', async (t) => {
  t.equal(partialAuroc(f(9), f(1, 2, 3, 4), 0.5), 1, 'found before any false positive');
  t.equal(partialAuroc(f(2.5), f(1, 2, 3, 4), 0.5), 0, 'found at a rate of one half');
  t.equal(partialAuroc(f(3.5), f(1, 2, 3, 4), 0.5), 0.5, 'found halfway to the limit');
  t.equal(partialAuroc(f(1), f(1, 1), 0.5), 0.25, 'ties rise along a line');
});

t.test('average precision sums precision over gains in recall', async (t) => {
  // scikit-learn's own example: average_precision_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) = 0.8333
  t.ok(Math.abs(averagePrecision(f(0.35, 0.8), f(0.1, 0.4)) - 5 / 6) < 1e-12);
  t.equal(averagePrecision(f(2, 3), f(1)), 1);
  t.equal(averagePrecision(f(1, 1), f(1, 1)), 0.5, 'all equal: the share of positives');
});

t.test('the best F1 comes with its threshold', async (t) => {
  t.strictSame(bestF1(f(3, 4), f(1, 2)), { f1: 1, threshold: 2.5 });
  t.strictSame(bestF1(f(1, 4), f(2, 3)), { f1: 2 / 3, threshold: 3.5 });
  t.strictSame(bestF1(f(1), f(1)), { f1: 2 / 3, threshold: 0.5 }, 'all are anomalous');
});

t.test("rankings with ties agree with scikit-learn's figures", async (t) => {
  for (const { positives, negatives, ...expected } of goldens.rankings) {
    const lists = [f(...positives), f(...negatives)] as const;
    const close = (actual: number, wanted: number, what: string) =>
      t.ok(Math.abs(actual - wanted) < 1e-9, `${what}: ${actual}, scikit-learn ${wanted}`);
    close(auroc(...lists), expected.auroc, 'AUROC');
    close(partialAuroc(...lists, 0.3), expected.partialAuroc, 'partial AUROC');
    close(averagePrecision(...lists), expected.averagePrecision, 'average precision');
    close(bestF1(...lists).f1, expected.bestF1, 'best F1');
  }
});

t.test(
  'rankings without positives or negatives, and scores that are not numbers, are rejected',
  async (t) => {
    t.throws(() => auroc(f(), f(1)), RangeError);
    t.throws(() => averagePrecision(f(1), f()), RangeError);
    t.throws(() => bestF1(f(1), f()), RangeError);
    t.throws(() => auroc(f(Number.NaN), f(1)), /not a number/);
  },
);

t.test(
  'a bootstrap interval contains the figure, narrows with more items, and is the same for a seed',
  async (t) => {
    const mean = (groups: readonly (readonly number[])[]): number =>
      groups.flat().reduce((sum, value) => sum + value, 0) / groups.flat().length;
    const items = (count: number) => Array.from({ length: count }, (_, index) => index % 10);
    const options = { resamples: 400, seed: 1 };
    const [low, high] = bootstrapInterval([items(100)], mean, options);
    t.ok(low < 4.5 && 4.5 < high);
    // The mean of 100 draws from 0..9 has a deviation of 0.287: 95 % lie within 0.563 of 4.5.
    t.ok(Math.abs(high - low - 1.126) < 0.15, `width ${high - low}`);
    const [lowOfMore, highOfMore] = bootstrapInterval([items(1000)], mean, options);
    t.ok(highOfMore - lowOfMore < (high - low) / 2);
    t.strictSame(bootstrapInterval([items(100)], mean, options), [low, high]);
    t.not(bootstrapInterval([items(100)], mean, { ...options, seed: 2 })[0], low);
  },
);
