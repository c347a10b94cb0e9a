/** What the terms of a score see: the shallow layers of an expert see how a surface looks, the deep ones how a part is built. */
export type Meaning = 'texture' | 'structure';

/**
 * @param depths of the terms, see {@link ServedCloner.depths}.
 * @returns `texture` for those that are shallower than the terms are on average.
 */
export function meaningsOf(depths: readonly number[]): Meaning[] {
  const mean = depths.reduce((sum, depth) => sum + depth, 0) / depths.length;
  return depths.map((depth) => (depth < mean ? 'texture' : 'structure'));
}
