/**
 * Scaling a localization map to the size of its image, exactly in float32. sharp casts floating point to 16
 * bit, so this is done here: in slices, with the event loop free between them.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LocalizationMap, PictureSize } from './map.js';

/** Pixels between two turns of the event loop: a few milliseconds. */
const pixelsPerTurn = 400_000;

/** Bilinear, pixel centers aligned, borders continued: float32 [height, width], row-major. */
export async function resizeMap(map: LocalizationMap, { width, height }: PictureSize): Promise<Float32Array> {
  const { values } = map;
  const columns = samplePoints(map.width, width);
  const rows = samplePoints(map.height, height);
  const result = new Float32Array(width * height);
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
  /** How far from `below` to `above`, 0..1. */
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
