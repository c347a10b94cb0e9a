/** How much the score of one image differs from run to run: rounding depends on what it shares a batch with. */

/** Of scores above 1 this share of them. */
const tolerance = 1e-5;

/** By how much less than this one the score of an image may come out another time, or more. */
export function scoreRounding(score: number): number {
  return tolerance * Math.max(1, Math.abs(score));
}

/** Whether two scores may be of one image. */
export function isSameScore(a: number, b: number): boolean {
  return Math.abs(a - b) <= scoreRounding(a);
}

/** The same of direction discrepancies, which are in 0..2 and mostly far below. */
export function isSameDirection(a: number, b: number): boolean {
  return Math.abs(a - b) <= scoreRounding(a) / 100;
}
