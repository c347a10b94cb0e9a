/**
 * How much the score of one image varies from run to run: the order of floating-point sums depends on threads, on the
 * device, and on whether a gradient is computed too.
 */
import type { Terms } from './manifest.js';

/** Discrepancies are 1 minus a float32 number: their error is a few units in the last place of 1. */
const ofDiscrepancy = 4 * 2 ** -23;

/** Relative error of the rest of the score. */
const share = 1e-5;

/** Returns the largest expected difference between this score and another score of the same image. */
export function scoreRounding({ direction }: Terms, score: number): number {
  return ofDiscrepancy * direction.reduce((sum, weight) => sum + weight, 0) + share * Math.abs(score);
}
