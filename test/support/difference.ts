/** Returns the largest difference between two lists, relative to the largest entry of the first. */
export function relativeDifference(expected: Float32Array, found: Float32Array): number {
  let largest = 0;
  let worst = 0;
  for (const [at, entry] of expected.entries()) {
    largest = Math.max(largest, Math.abs(entry));
    worst = Math.max(worst, Math.abs(entry - (found[at] as number)));
  }
  return worst / largest;
}
