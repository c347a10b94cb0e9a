/** The comparison of two detectors on the same images. */
import { bootstrapInterval, type Interval } from './bootstrap.js';
import { auroc } from './ranking.js';
import type { EvaluationReport } from './report.js';

/** The second detector against the first. */
export interface Comparison {
  readonly schema: 'mkd.comparison/1';
  readonly reports: readonly [EvaluationReport, EvaluationReport];
  /** Image AUROC of the second less that of the first. */
  readonly imageAurocDifference: number;
  /** Its 95 % bootstrap interval; both detectors have the same images in every sample. */
  readonly interval: Interval;
  /** Paths of images with another verdict. */
  readonly flips: readonly string[];
}

/** The scores of one image by both detectors. */
type Pair = readonly [number, number];

/** @throws RangeError if the reports are of different images. */
export function compareReports(first: EvaluationReport, second: EvaluationReport): Comparison {
  const pairsOf = (anomalous: boolean): Pair[] =>
    first.scores.flatMap((one, index): Pair[] => {
      const other = second.scores[index];
      if (other?.path !== one.path) throw new RangeError('the reports are of different images');
      return one.anomalous === anomalous ? [[one.score, other.score]] : [];
    });
  const difference = ([defective = [], good = []]: readonly (readonly Pair[])[]): number => {
    const of = (which: 0 | 1): number =>
      auroc(
        Float32Array.from(defective, (pair) => pair[which]),
        Float32Array.from(good, (pair) => pair[which]),
      );
    return of(1) - of(0);
  };
  const groups = [pairsOf(true), pairsOf(false)];
  const { resamples, seed } = first.intervals;
  const flips = first.scores.filter(({ verdict }, index) => verdict !== second.scores[index]?.verdict);
  return {
    schema: 'mkd.comparison/1',
    reports: [first, second],
    imageAurocDifference: difference(groups),
    interval: bootstrapInterval(groups, difference, { resamples, seed }),
    flips: flips.map(({ path }) => path),
  };
}
