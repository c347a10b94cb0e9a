/** What a linear cloner consists of: its spans and terms, and the names of its tensors. */
import { type CriticalLayer, type Span, spanName } from '../../networks/index.js';

/** A span and how many directions it has: fewer good images leave the last ones empty. */
export interface SizedSpan extends Span {
  readonly components: number;
}

export interface LinearCloner {
  readonly kind: 'linear';
  /** Terms of the score. */
  readonly spans: readonly SizedSpan[];
  /** Layers whose windows are a term of the score; the coarsest one gives the grid. */
  readonly windows: { readonly layers: readonly CriticalLayer[] };
  /** Whose cells are part of the map. */
  readonly cells: readonly SizedSpan[];
  /** Layers that are compared at each position, the finest first, with one projection for all positions. */
  readonly local: { readonly layers: readonly CriticalLayer[]; readonly components: number };
}

/** Names of its tensors, in files and as inputs of graphs. */
export const linearTensors = {
  mean: (span: Span) => `span.${spanName(span)}.mean`,
  basis: (span: Span) => `span.${spanName(span)}.basis`,
  kept: (span: Span) => `span.${spanName(span)}.kept`,
  /** float32 scalar: what the ridge leaves of every image. */
  rest: (span: Span) => `span.${spanName(span)}.rest`,
  windowMean: 'windows.mean',
  windowWhitening: 'windows.whitening',
  localMean: 'local.mean',
  localInverseDeviation: 'local.inverse_deviation',
  localBasis: 'local.basis',
  /** float32 scalars: mean and deviation of good images' maps, over all places. */
  mapMean: 'map.mean',
  mapDeviation: 'map.deviation',
} as const;

/** Returns all spans, each once. */
export function spansOf({ spans, cells }: LinearCloner): SizedSpan[] {
  const scored = new Set(spans.map(spanName));
  return [...spans, ...cells.filter((span) => !scored.has(spanName(span)))];
}

/** Returns the names of a cloner's terms, which count as scoring layers. */
export function termNames({ spans, windows }: LinearCloner): CriticalLayer[] {
  return [...spans.map(spanName), `${windows.layers.join('+')}/windows`];
}
