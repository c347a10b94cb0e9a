/** Seeded random numbers, value noise, and basic functions for drawing. */

/** Returns the next number of a stream, uniform in [0, 1). */
export type Random = () => number;

/** Value noise in -1..1 at (x, y); `period`, a power of two up to 256, is where y wraps around. */
export type Noise = (x: number, y: number, period: number) => number;

export const TAU = 2 * Math.PI;

/** Returns a mulberry32 stream, seeded with the FNV-1a hash of a name. */
export function seededRandom(name: string): Random {
  let state = 0x811c9dc5;
  for (let i = 0; i < name.length; i += 1) {
    state = Math.imul(state ^ name.charCodeAt(i), 0x01000193);
  }
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Draws a uniform number from `low` to `high`. */
export function between(random: Random, low: number, high: number): number {
  return low + (high - low) * random();
}

/** Draws one of the items, all equally likely. */
export function pick<Item>(random: Random, items: readonly Item[]): Item {
  return items[Math.floor(random() * items.length)] as Item;
}

/** Returns a noise field over a lattice of 256 x 256 random values. */
export function makeNoise(random: Random): Noise {
  const lattice = new Float32Array(65536);
  for (let i = 0; i < lattice.length; i += 1) {
    lattice[i] = 2 * random() - 1;
  }
  const at = (x: number, y: number): number => lattice[(y << 8) | x] ?? 0;
  return (x, y, period) => {
    const floorX = Math.floor(x);
    const floorY = Math.floor(y);
    const blendX = ease(x - floorX);
    const blendY = ease(y - floorY);
    const x0 = floorX & 255;
    const x1 = (floorX + 1) & 255;
    const y0 = floorY & (period - 1);
    const y1 = (floorY + 1) & (period - 1);
    return mix(mix(at(x0, y0), at(x1, y0), blendX), mix(at(x0, y1), at(x1, y1), blendX), blendY);
  };
}

/** Returns the length of a 2D vector. */
export function length(u: number, v: number): number {
  return Math.sqrt(u * u + v * v);
}

/** Clamps a value to 0..1. */
export function clamp01(value: number): number {
  if (value <= 0) {
    return 0;
  }
  if (value >= 1) {
    return 1;
  }
  return value;
}

/** Interpolates linearly between two values. */
export function mix(from: number, to: number, share: number): number {
  return from + (to - from) * share;
}

/** Cubic ease function from 0..1 to 0..1. */
function ease(value: number): number {
  return value * value * (3 - 2 * value);
}

/** Returns 0 below `low`, 1 above `high`, eased in between. */
export function smoothStep(low: number, high: number, value: number): number {
  return ease(clamp01((value - low) / (high - low)));
}

/** Returns the share of a pixel inside an edge; `depth` is the distance to the edge, positive inside. */
export function coverage(depth: number, pixel: number): number {
  return clamp01(depth / pixel + 0.5);
}

/** Returns the share of a pixel between two distances. */
export function band(value: number, low: number, high: number, pixel: number): number {
  return coverage(value - low, pixel) * coverage(high - value, pixel);
}
