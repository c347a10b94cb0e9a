/** Whether parts lie in any orientation: then photos that are turned are hardly more unusual than the photos themselves. */
import type { Scorer } from '../../detector/index.js';
import { type ScaledImage, sidesOf } from '../../imaging/index.js';
import type { ScoringPipeline } from '../../scoring/index.js';

/** Photos that are turned: a dozen tell as much as all. */
export const photosToTurn = 12;

/**
 * Parts lie in any orientation below this ratio. It is about 1 where all of the photo turns with the part, 1.7 on slices of heads,
 * and 2.9 to 14 on aligned parts. A ground that does not turn gives copies away: pills turned over one have 2.0.
 */
export const turnedAlike = 1.3;

/** A photo, and the logarithm of what each span leaves of it, by all others. */
export interface TurnedPhoto {
  readonly read: () => Promise<ScaledImage>;
  readonly leftOut: readonly number[];
}

/**
 * Measures how much more of a turned photo the spans leave than of the photo itself.
 * @param photos that are turned by 90 and by 180 degrees.
 * @returns the geometric mean of the ratios; undefined if the input is not square or images are cut into tiles.
 */
export async function measureTurning(
  pipeline: ScoringPipeline,
  scorer: Scorer,
  photos: readonly TurnedPhoto[],
): Promise<number | undefined> {
  const { width, height } = sidesOf(scorer.shape.inputSize);
  if (width !== height || scorer.input.tiling || scorer.input.region) return undefined;
  const logs: number[] = [];
  for (const { read, leftOut } of photos) {
    const image = await read();
    const turned = [turnedBy90(image), turnedBy180(image)];
    // The session that measured the maps is open; another one would take longer than the maps.
    const { images } = await pipeline.infer(scorer, turned, { map: 'discrepancy' });
    for (const { outputs, index } of images) {
      const terms = outputs.value.length / outputs.score.length;
      for (const [span, own] of leftOut.entries()) {
        logs.push((outputs.value[index * terms + span] as number) - own);
      }
    }
  }
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
}

function turnedBy90({ grid, pixels }: ScaledImage): ScaledImage {
  const side = grid.width;
  return { grid, pixels: moved(pixels, side, (x, y) => (side - 1 - x) * side + y) };
}

function turnedBy180({ grid, pixels }: ScaledImage): ScaledImage {
  const side = grid.width;
  return { grid, pixels: moved(pixels, side, (x, y) => (side - 1 - y) * side + side - 1 - x) };
}

/** @param from the place that each new pixel had. */
function moved(pixels: Uint8Array, side: number, from: (x: number, y: number) => number): Uint8Array {
  const result = new Uint8Array(pixels.length);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const place = 3 * from(x, y);
      result.set(pixels.subarray(place, place + 3), 3 * (y * side + x));
    }
  }
  return result;
}
