/**
 * Defects made on good images: a stain or a scratch, a patch of another image or of another place, noise. They are no
 * models of real defects. They tell the cloner where not to follow the expert, as something it never saw would be.
 */
import { normal, type Random } from '../../random/random.js';

export interface MadeDefect {
  /** uint8 RGB [size, size, 3] */
  readonly pixels: Uint8Array;
  /** uint8 [size, size]: 1 where the image was changed. */
  readonly mask: Uint8Array;
}

/** How much of the defect covers each pixel, 0..1. */
type Cover = Float32Array;

/** Fewer changed pixels than this are no defect; it is drawn again. */
const fewestPixels = 8;

/** Changes smaller than this, of 255, are not seen. */
const leastChange = 3;

/**
 * Makes a defect.
 * @param pixels uint8 RGB [size, size, 3], a good image.
 * @param other another good image, or the same.
 */
export function makeDefect(pixels: Uint8Array, other: Uint8Array, size: number, random: Random): MadeDefect {
  for (;;) {
    const kind = kinds[Math.floor(random() * kinds.length)] as (typeof kinds)[number];
    const cover = kind.cover(size, random);
    const filling = kind.filling(pixels, other, size, random);
    const defect = blended(pixels, filling, cover);
    if (defect.mask.reduce((sum, entry) => sum + entry, 0) >= fewestPixels) return defect;
  }
}

/** What a defect of a kind covers, and what it puts there. Stains and scratches come twice as often. */
const kinds = [
  { cover: stainOrScratch, filling: tone },
  { cover: stainOrScratch, filling: tone },
  { cover: patch, filling: elsewhere },
  { cover: patch, filling: roughness },
  { cover: patch, filling: displaced },
] as const;

function stainOrScratch(size: number, random: Random): Cover {
  return random() < 0.5 ? scratch(size, random) : blob(size, 0.002, 0.04, random);
}

function patch(size: number, random: Random): Cover {
  return blob(size, 0.004, 0.1, random);
}

/** An ellipse with a ragged edge, of a share of the image between two bounds. */
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

/** A line that wanders. */
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

/** Covers what lies within a radius of a point, with an edge one pixel wide. */
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

/** Darker or lighter by half to twice what the image itself varies. */
function tone(pixels: Uint8Array, _other: Uint8Array, _size: number, random: Random): Filling {
  const change = (random() < 0.5 ? -1 : 1) * between(0.5, 2, random) * contrastOf(pixels);
  return (at) => (pixels[at] as number) + change;
}

/** Another image, from another place, perhaps mirrored across its diagonal. */
function elsewhere(_pixels: Uint8Array, other: Uint8Array, size: number, random: Random): Filling {
  return moved(other, size, random, random() < 0.5 ? 'transposed' : 'upright');
}

/** The image itself from another place, perhaps mirrored. */
function displaced(pixels: Uint8Array, _other: Uint8Array, size: number, random: Random): Filling {
  return moved(pixels, size, random, random() < 0.5 ? 'mirrored' : 'upright');
}

/** Coarse or fine noise on top. */
function roughness(pixels: Uint8Array, _other: Uint8Array, size: number, random: Random): Filling {
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

function blended(pixels: Uint8Array, filling: Filling, cover: Cover): MadeDefect {
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

/** Standard deviation over all entries, at least 12 so that plain images get visible defects. */
function contrastOf(pixels: Uint8Array): number {
  const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
  const variance = pixels.reduce((sum, value) => sum + (value - mean) ** 2, 0) / pixels.length;
  return Math.max(12, Math.sqrt(variance));
}

/** Normal noise on a grid of `cells` x `cells`, interpolated smoothly to `size` x `size`. */
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
