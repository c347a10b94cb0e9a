/**
 * Scores that differ by less are of one image, measured twice in the same way, up to what it shares a batch with. Of
 * scores above 1 this share of them.
 */
const tolerance = 1e-5;

/** Whether two scores may be of one image. */
export function isSameScore(a: number, b: number): boolean {
  return isSame(a, b, tolerance);
}

/** The same of direction discrepancies, which are in 0..2 and mostly far below. */
export function isSameDirection(a: number, b: number): boolean {
  return isSame(a, b, tolerance / 100);
}

function isSame(a: number, b: number, within: number): boolean {
  return Math.abs(a - b) <= within * Math.max(1, Math.abs(a));
}
