/**
 * How much the score of one image differs from run to run: the order in which products are added up depends on threads,
 * on the device, and on whether a gradient is asked for too.
 */
import type { Terms } from './manifest.js';

/** Discrepancies are differences from 1 in float32, uncertain by some units in its last place. */
const ofDiscrepancy = 4 * 2 ** -23;

/** The rest is uncertain by a share of it. */
const share = 1e-5;

/** By how much less than this one the score of the same image may come out another time, or more. */
export function scoreRounding({ direction, neighbors }: Terms, score: number): number {
  const weights = [...direction, ...(neighbors?.weights ?? [])];
  return ofDiscrepancy * weights.reduce((sum, weight) => sum + weight, 0) + share * Math.abs(score);
}
