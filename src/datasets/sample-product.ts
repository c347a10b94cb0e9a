/**
 * A procedural inspection data set: a turned steel flange on a gray table under three lamps.
 *
 * Good images vary slightly in position, rotation, scale, lighting, machining marks and sensor noise. Defective ones
 * also have one clear flaw. All pixels are computed; no picture is read.
 *
 * Unless stated otherwise, lengths are in "part units": the flange's outer radius is 1, its center is (0, 0), u points
 * right and v points down in the part's own frame. Angles are in radians.
 */

import { addSensorNoise, renderPart } from './sample/camera.js';
import { type Flaw, makeCrack, makeDent, makeMisdrill, makeScratch, makeStain } from './sample/flaws.js';
import { type FlawDrawing, renderFlaw } from './sample/mask.js';
import { makePart, type Part } from './sample/part.js';
import { type Random, seededRandom } from './sample/random.js';

/** The kinds of flaw that can be drawn. */
export type SampleDefect = 'scratch' | 'dent' | 'stain' | 'crack' | 'misdrill';

/**
 * Every kind of flaw, in a fixed order.
 *
 * - `scratch`: one or two long, narrow, bright and dark lines across the turning marks (small).
 * - `dent`: a smooth hollow, visible only by its shading (medium).
 * - `stain`: a wide discolored film of oil, rust or heat tint (large).
 * - `crack`: a jagged dark line, forked, that starts at a hole, at the rim or at the bore (small, irregular).
 * - `misdrill`: a bolt hole that is missing, displaced, or too small (structural).
 */
export const sampleDefects: readonly SampleDefect[] = ['scratch', 'dent', 'stain', 'crack', 'misdrill'];

/** One drawn image with its ground truth. */
export interface SampleImage {
  /** In pixels. */
  width: number;
  /** In pixels. */
  height: number;
  /** RGB, row-major, 3 bytes a pixel: `width * height * 3` values in 0..255. */
  pixels: Uint8Array;
  /** 255 where defective, 0 elsewhere: row-major, one byte a pixel, `width * height` values. */
  mask: Uint8Array;
}

/** What to draw. Equal options give equal bytes. */
export interface SampleOptions {
  /** Selects the data set; finite. */
  seed: number;
  /** Index of the image in the data set; finite. */
  index: number;
  /** The flaw to draw; undefined for a good part. */
  defect?: SampleDefect;
  /** Width and height in pixels: an integer from 32 to 4096; default 256. */
  size?: number;
}

/** Minimum share of the image that a flaw should cover. */
const ENOUGH_SHARE = 0.0062;

/** Create a random flaw of each kind for a part. */
const flawMakers: Record<SampleDefect, (part: Part, random: Random) => Flaw> = {
  scratch: makeScratch,
  dent: makeDent,
  stain: makeStain,
  crack: makeCrack,
  misdrill: makeMisdrill,
};

/**
 * Draws one image of the flange.
 *
 * @param options what to draw; see `SampleOptions`
 * @returns the image and its mask; the mask is all 0 only for a good part
 * @throws RangeError if `size` is not an integer from 32 to 4096, or `defect` is unknown
 */
export function drawSample(options: SampleOptions): SampleImage {
  const { seed, index, defect, size = 256 } = options;
  checkOptions(size, defect);
  const name = `${seed}/${index}/${defect ?? 'good'}`;
  const random = seededRandom(`${name}/part`);
  const part = makePart(random);
  const canvas = renderPart(part, size);
  const mask = defect ? drawFlaw(canvas, part, size, defect, random) : new Uint8Array(size * size);
  const pixels = addSensorNoise(canvas, part.grain, seededRandom(`${name}/sensor`));
  return { width: size, height: size, pixels, mask };
}

function checkOptions(size: number, defect: SampleDefect | undefined): void {
  if (!Number.isInteger(size) || size < 32 || size > 4096) {
    throw new RangeError(`size must be an integer from 32 to 4096, not ${size}`);
  }
  if (defect !== undefined && !sampleDefects.includes(defect)) {
    throw new RangeError(`unknown defect '${String(defect)}'; known: ${sampleDefects.join(', ')}`);
  }
}

/** Draws a flaw over a good part's canvas and returns its mask; tries again if too little of it is visible. */
function drawFlaw(
  canvas: Float32Array,
  part: Part,
  size: number,
  defect: SampleDefect,
  random: Random,
): Uint8Array {
  const enough = Math.max(3, size * size * ENOUGH_SHARE);
  let best: FlawDrawing | undefined;
  for (let attempt = 0; attempt < 12 && (best?.area ?? 0) < enough; attempt += 1) {
    const drawing = renderFlaw(canvas, part, size, flawMakers[defect](part, random));
    best = !best || drawing.area > best.area ? drawing : best;
  }
  if (!best || best.area === 0) {
    throw new Error(`could not draw a visible ${defect}; use a larger size`);
  }
  canvas.set(best.canvas);
  return best.mask;
}
