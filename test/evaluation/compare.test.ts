/** Two detectors on the same images. */
import t from 'tap';
import { compareReports, type EvaluationReport } from '../../src/evaluation/index.js';

/** A report with these scores; the first three images are good. */
function reportOf(scores: readonly number[], threshold: number): EvaluationReport {
  return {
    intervals: { resamples: 200, seed: 0 },
    scores: scores.map((score, index) => ({
      path: `${index}.png`,
      kind: index < 3 ? 'good' : 'scratch',
      anomalous: index >= 3,
      score,
      verdict: score > threshold ? 'anomalous' : 'good',
    })),
  } as unknown as EvaluationReport;
}

t.test(
  'the difference has an interval over the same samples, and verdicts that differ are named',
  async (t) => {
    const first = reportOf([0, 1, 2, 1.5, 3, 4], 2.5);
    const second = reportOf([0, 1, 2, 2.2, 3, 4], 2.1);
    const { imageAurocDifference, interval, flips } = compareReports(first, second);
    t.ok(Math.abs(imageAurocDifference - 1 / 9) < 1e-9);
    t.ok(interval[0] >= 0 && interval[1] <= 1, 'the second is at least as good in every sample');
    t.strictSame(flips, ['3.png']);
    const same = compareReports(first, first);
    t.strictSame([same.imageAurocDifference, same.interval, same.flips], [0, [0, 0], []]);
  },
);

t.test('reports of different images are refused', async (t) => {
  const first = reportOf([0, 1, 2, 3], 2);
  t.throws(() => compareReports(first, { ...first, scores: first.scores.slice(0, 3) }), /different images/);
});
