/**
 * Scales a localization map to the size of its image in float32. sharp would convert floating point to 16 bits. The
 * work is split into slices, so that the event loop can run in between.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LocalizationMap, PictureSize } from './map.js';

/** Pixels between two yields to the event loop: a few milliseconds. */
const pixelsPerTurn = 400_000;

/**
 * Scales bilinearly, pixel centers aligned, borders replicated.
 * @param result where the values are written.
 * @returns float32 [height, width], row-major.
 */
export async function resizeMap(
  map: LocalizationMap,
  { width, height }: PictureSize,
  result: Float32Array = new Float32Array(width * height),
): Promise<Float32Array> {
  const { values } = map;
  const columns = samplePoints(map.width, width);
  const rows = samplePoints(map.height, height);
  let untilTurn = pixelsPerTurn;
  for (const [y, row] of rows.entries()) {
    const top = row.below * map.width;
    const bottom = row.above * map.width;
    let at = y * width;
    for (const { below, above, share } of columns) {
      const upper = mix(values[top + below] as number, values[top + above] as number, share);
      const lower = mix(values[bottom + below] as number, values[bottom + above] as number, share);
      result[at++] = mix(upper, lower, row.share);
    }
    untilTurn -= width;
    if (untilTurn <= 0) {
      untilTurn = pixelsPerTurn;
      await nextTurn();
    }
  }
  return result;
}

interface SamplePoint {
  readonly below: number;
  readonly above: number;
  /** Position between `below` and `above`, 0..1. */
  readonly share: number;
}

function samplePoints(from: number, to: number): SamplePoint[] {
  return Array.from({ length: to }, (_, index) => {
    const position = Math.min(Math.max(((index + 0.5) * from) / to - 0.5, 0), from - 1);
    const below = Math.floor(position);
    return { below, above: Math.min(below + 1, from - 1), share: position - below };
  });
}

function mix(a: number, b: number, share: number): number {
  return a + (b - a) * share;
}
