/** What each term of the score separates by itself, and what the score separates without it. */
import type { Manifest } from '../detector/index.js';
import { auroc } from './ranking.js';

/** How well a term of the score separates, and how well the score separates without it. */
export interface TermFigures {
  /** Critical layer; `all` for their weighted sum in the score; `map` for the peak of the discrepancy map, which does not count. */
  readonly layer: string;
  readonly term: 'value' | 'direction' | 'peak';
  /** AUROC of the term alone. */
  readonly imageAuroc: number;
  /** AUROC of the score without the term; null if nothing is left of it. */
  readonly imageAurocWithout: number | null;
  /** Whether the term is part of the score. */
  readonly counts: boolean;
}

/** Scores and discrepancies of test images. */
export interface MeasuredTerms {
  readonly images: readonly { readonly anomalous: boolean }[];
  /** [N] */
  readonly score: Float32Array;
  /** [N, L] */
  readonly value: Float32Array;
  readonly direction: Float32Array;
  /** [N], or empty if there is no discrepancy map. */
  readonly peak: Float32Array;
}

export function termFigures(
  { scoringLayers, terms }: Pick<Manifest, 'scoringLayers' | 'terms'>,
  { images, score, value, direction, peak }: MeasuredTerms,
): TermFigures[] {
  const separation = (scores: Float32Array): number => {
    const of = (anomalous: boolean) => scores.filter((_, index) => images[index]?.anomalous === anomalous);
    return auroc(of(true), of(false));
  };
  /** What is left of a score that is one term alone is rounding. */
  const without = (counted: Float32Array): number | null => {
    const rest = score.map((sum, image) => sum - (counted[image] as number));
    return spanOf(rest) <= 1e-4 * spanOf(score) ? null : separation(rest);
  };
  const figures = (layer: string, term: TermFigures['term'], alone: Float32Array, counted: Float32Array) => ({
    layer,
    term,
    imageAuroc: separation(alone),
    imageAurocWithout: without(counted),
    counts: counted.some((part) => part !== 0),
  });
  const weighted = (discrepancies: Float32Array, weight: number) =>
    discrepancies.map((discrepancy) => weight * discrepancy);
  /** @param all [N, L] */
  const ofLayers = (
    term: TermFigures['term'],
    all: Float32Array,
    weights: readonly number[],
  ): TermFigures[] => {
    const columns = weights.map((_, at) => all.filter((_, entry) => entry % weights.length === at));
    const counted = columns.map((column, at) => weighted(column, weights[at] as number));
    const sum = score.map((_, image) => counted.reduce((sum, layer) => sum + (layer[image] as number), 0));
    return [
      ...scoringLayers.map((layer, at) =>
        figures(layer, term, columns[at] as Float32Array, counted[at] as Float32Array),
      ),
      ...(weights.some((weight) => weight !== 0) ? [figures('all', term, sum, sum)] : []),
    ];
  };
  return [
    ...ofLayers('value', value, terms.value),
    ...ofLayers('direction', direction, terms.direction),
    ...(peak.length > 0 ? [figures('map', 'peak', peak, weighted(peak, 0))] : []),
  ];
}

/** Returns the difference of the largest and the smallest value. */
function spanOf(values: Float32Array): number {
  return (
    values.reduce((a, b) => Math.max(a, b), -Infinity) - values.reduce((a, b) => Math.min(a, b), Infinity)
  );
}
