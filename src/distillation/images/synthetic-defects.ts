/**
 * Synthetic defects on good images: stains, scratches, patches of another image or place, noise. They do not model real
 * defects. They train the cloner not to follow the expert on anything it has not seen.
 */
import { normal, type Random } from '../../random/random.js';

export interface SyntheticDefect {
  /** uint8 RGB [size, size, 3] */
  readonly pixels: Uint8Array;
  /** uint8 [size, size]: 1 where the image was changed. */
  readonly mask: Uint8Array;
}

/** How much the defect covers each pixel, 0..1. */
type Cover = Float32Array;

/** A defect with fewer changed pixels is drawn again. */
const fewestPixels = 8;

/** Smaller changes, of 255, are not marked in the mask. */
const leastChange = 3;

/**
 * Makes a defect.
 * @param pixels uint8 RGB [size, size, 3], a good image.
 * @param other another good image, or the same.
 */
export function synthesizeDefect(
  pixels: Uint8Array,
  other: Uint8Array,
  size: number,
  random: Random,
): SyntheticDefect {
  for (;;) {
    const kind = kinds[Math.floor(random() * kinds.length)] as (typeof kinds)[number];
    const cover = kind.cover(size, random);
    const filling = kind.filling(pixels, other, size, random);
    const defect = blended(pixels, filling, cover);
    if (defect.mask.reduce((sum, entry) => sum + entry, 0) >= fewestPixels) return defect;
  }
}

/** Cover and filling of each kind of defect. Stains and scratches are listed twice, to be twice as frequent. */
const kinds = [
  { cover: stainOrScratch, filling: tone },
  { cover: stainOrScratch, filling: tone },
  { cover: patch, filling: otherImage },
  { cover: patch, filling: noise },
  { cover: patch, filling: sameImage },
] as const;

function stainOrScratch(size: number, random: Random): Cover {
  return random() < 0.5 ? scratch(size, random) : blob(size, 0.002, 0.04, random);
}

function patch(size: number, random: Random): Cover {
  return blob(size, 0.004, 0.1, random);
}

/** Returns an ellipse with a ragged edge; `least` and `most` bound its share of the image. */
function blob(size: number, least: number, most: number, random: Random): Cover {
  const share = least * (most / least) ** random();
  const radius = Math.sqrt(share / Math.PI) * size;
  const center = [between(0.1, 0.9, random) * size, between(0.1, 0.9, random) * size] as const;
  const [turn, stretch] = [Math.PI * random(), Math.sqrt(between(0.5, 2, random))];
  const edge = smoothNoise(size, Math.max(4, Math.round(size / radius)), random);
  const softness = (between(0.4, 1.5, random) * size) / 128 / radius;
  return Float32Array.from({ length: size * size }, (_, at) => {
    const [x, y] = [(at % size) - center[0], Math.floor(at / size) - center[1]];
    const along = (x * Math.cos(turn) + y * Math.sin(turn)) / stretch;
    const across = (y * Math.cos(turn) - x * Math.sin(turn)) * stretch;
    const distance = Math.hypot(along, across) / radius + 0.35 * (edge[at] as number);
    return clamp01(0.5 + (1 - distance) / (2 * softness));
  });
}

/** Returns a randomly curved line. */
function scratch(size: number, random: Random): Cover {
  const cover = new Float32Array(size * size);
  const width = (between(0.6, 2.2, random) * size) / 128;
  const bend = 0.03 * normal(random);
  let [x, y] = [between(0.1, 0.9, random) * size, between(0.1, 0.9, random) * size];
  let heading = 2 * Math.PI * random();
  const step = Math.max(0.5, width / 2);
  for (let left = between(0.1, 0.6, random) * size; left > 0; left -= step) {
    touch(cover, size, [x, y], width);
    x += Math.cos(heading) * step;
    y += Math.sin(heading) * step;
    heading += bend + 0.05 * normal(random);
  }
  return cover;
}

/** Covers pixels within a radius of a point, with an edge one pixel wide. */
function touch(cover: Cover, size: number, [x, y]: readonly [number, number], radius: number): void {
  const reach = Math.ceil(radius + 1);
  for (let row = Math.max(0, Math.floor(y) - reach); row <= Math.min(size - 1, y + reach); row++) {
    for (let column = Math.max(0, Math.floor(x) - reach); column <= Math.min(size - 1, x + reach); column++) {
      const near = clamp01(radius + 0.5 - Math.hypot(column - x, row - y));
      cover[row * size + column] = Math.max(cover[row * size + column] as number, near);
    }
  }
}

type Filling = (at: number) => number;

/** Darker or lighter by half to twice the contrast of the image. */
function tone(pixels: Uint8Array, _other: Uint8Array, _size: number, random: Random): Filling {
  const change = (random() < 0.5 ? -1 : 1) * between(0.5, 2, random) * contrastOf(pixels);
  return (at) => (pixels[at] as number) + change;
}

/** Another place of another image, possibly mirrored across its diagonal. */
function otherImage(_pixels: Uint8Array, other: Uint8Array, size: number, random: Random): Filling {
  return moved(other, size, random, random() < 0.5 ? 'transposed' : 'upright');
}

/** Another place of the same image, possibly mirrored. */
function sameImage(pixels: Uint8Array, _other: Uint8Array, size: number, random: Random): Filling {
  return moved(pixels, size, random, random() < 0.5 ? 'mirrored' : 'upright');
}

/** Coarse or fine noise on top. */
function noise(pixels: Uint8Array, _other: Uint8Array, size: number, random: Random): Filling {
  const noise = smoothNoise(size, Math.round(size / between(2, 10, random)), random);
  const strength = between(0.5, 1.5, random) * contrastOf(pixels);
  return (at) => (pixels[at] as number) + strength * (noise[Math.floor(at / 3)] as number);
}

function moved(
  source: Uint8Array,
  size: number,
  random: Random,
  way: 'upright' | 'mirrored' | 'transposed',
): Filling {
  const [down, right] = [0, 1].map(() => Math.floor(between(1 / 8, 7 / 8, random) * size)) as [
    number,
    number,
  ];
  return (at) => {
    const [pixel, channel] = [Math.floor(at / 3), at % 3];
    const row = (Math.floor(pixel / size) + down) % size;
    const column = ((pixel % size) + right) % size;
    const from = {
      upright: row * size + column,
      mirrored: row * size + (size - 1 - column),
      transposed: column * size + row,
    }[way];
    return source[3 * from + channel] as number;
  };
}

function blended(pixels: Uint8Array, filling: Filling, cover: Cover): SyntheticDefect {
  const changed = Uint8Array.from(pixels);
  const mask = new Uint8Array(cover.length);
  for (const [at, share] of cover.entries()) {
    if (share === 0) continue;
    let difference = 0;
    for (let entry = 3 * at; entry < 3 * at + 3; entry++) {
      const before = pixels[entry] as number;
      const after = Math.round(Math.min(255, Math.max(0, before + share * (filling(entry) - before))));
      changed[entry] = after;
      difference += Math.abs(after - before) / 3;
    }
    if (share > 0.5 && difference > leastChange) mask[at] = 1;
  }
  return { pixels: changed, mask };
}

/** Returns the standard deviation of all entries, at least 12 so that plain images get visible defects. */
function contrastOf(pixels: Uint8Array): number {
  const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
  const variance = pixels.reduce((sum, value) => sum + (value - mean) ** 2, 0) / pixels.length;
  return Math.max(12, Math.sqrt(variance));
}

/** Returns normal noise on a grid of `cells` x `cells`, interpolated smoothly to `size` x `size`. */
function smoothNoise(size: number, cells: number, random: Random): Float32Array {
  const side = cells + 1;
  const grid = Float32Array.from({ length: side * side }, () => normal(random));
  const axis = Array.from({ length: size }, (_, at) => {
    const position = (at * cells) / size;
    const cell = Math.floor(position);
    const part = position - cell;
    return { cell, share: part * part * (3 - 2 * part) };
  });
  return Float32Array.from({ length: size * size }, (_, at) => {
    const [row, column] = [axis[Math.floor(at / size)], axis[at % size]] as [Place, Place];
    const corner = (down: number, right: number): number =>
      grid[(row.cell + down) * side + column.cell + right] as number;
    const top = corner(0, 0) + column.share * (corner(0, 1) - corner(0, 0));
    const bottom = corner(1, 0) + column.share * (corner(1, 1) - corner(1, 0));
    return top + row.share * (bottom - top);
  });
}

interface Place {
  readonly cell: number;
  readonly share: number;
}

function between(low: number, high: number, random: Random): number {
  return low + (high - low) * random();
}

function clamp01(value: number): number {
  return Math.min(1, Math.max(0, value));
}
