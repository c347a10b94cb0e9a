/** The kinds of cloners. */
import { type ConvolutionalCloner, servedConvolutional } from './convolutional.js';
import { servedLinear } from './linear.js';
import type { LinearCloner } from './linear-cloner.js';
import type { ServedCloner } from './served-cloner.js';

export { type ConvolutionalCloner, clonerFeeds } from './convolutional.js';
export { windowGrid } from './linear.js';
export { type LinearCloner, linearTensors, type SizedSpan, spansOf, termNames } from './linear-cloner.js';
export type { DiscrepancyMap, ScoreShape, ScoreTerms } from './served-cloner.js';

/** A cloner as a detector describes it; its tensors are elsewhere. */
export type ClonerSpec = ConvolutionalCloner | LinearCloner;

/** Returns whether a cloner has a discrepancy map; otherwise its maps are gradients. */
export function hasDiscrepancyMap(cloner: ClonerSpec): boolean {
  return servedCloner(cloner).hasMap;
}

/** Returns a cloner as serving sees it: the only place that tells kinds apart. */
export function servedCloner(cloner: ClonerSpec): ServedCloner {
  return cloner.kind === 'linear' ? servedLinear(cloner) : servedConvolutional(cloner);
}
