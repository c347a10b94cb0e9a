/**
 * Scores that differ by less are of the same image, measured twice, possibly in different batches. Relative for scores
 * above 1, absolute below.
 */
const tolerance = 1e-5;

/** Returns whether two scores may be of the same image. */
export function isSameScore(a: number, b: number): boolean {
  return isSame(a, b, tolerance);
}

/** Returns the same for direction discrepancies, which are in 0..2 and mostly close to 0. */
export function isSameDirection(a: number, b: number): boolean {
  return isSame(a, b, tolerance / 100);
}

function isSame(a: number, b: number, within: number): boolean {
  return Math.abs(a - b) <= within * Math.max(1, Math.abs(a));
}
