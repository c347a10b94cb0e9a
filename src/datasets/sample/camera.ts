/** The camera: renders part and table, exposure and sensor noise. */

import type { Flaw } from './flaws.js';
import type { Part } from './part.js';
import { coverage, length, mix, type Random, smoothStep } from './random.js';
import {
  blankSurface,
  cutBore,
  drillHoles,
  engrave,
  machineFace,
  openingLight,
  reflectance,
  resetSurface,
  type Surface,
} from './surface.js';

/** Draws the part without noise. @returns display levels, row-major, 3 floats (0..255) per pixel. */
export function renderPart(part: Part, size: number): Float32Array {
  const canvas = new Float32Array(size * size * 3);
  const color = new Float64Array(3);
  const surface = blankSurface();
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      renderPixel(part, size, x, y, surface, color);
      storeColor(canvas, (y * size + x) * 3, color);
    }
  }
  return canvas;
}

/** Writes the three levels of one pixel to a canvas. */
export function storeColor(canvas: Float32Array, at: number, color: Float64Array): void {
  canvas[at] = color[0] ?? 0;
  canvas[at + 1] = color[1] ?? 0;
  canvas[at + 2] = color[2] ?? 0;
}

/** Draws one pixel into `color` as levels 0..255; `surface` is scratch space. */
export function renderPixel(
  part: Part,
  size: number,
  x: number,
  y: number,
  surface: Surface,
  color: Float64Array,
  flaw?: Flaw,
): void {
  const dx = ((x + 0.5) / size - part.centerX) / part.scale;
  const dy = ((y + 0.5) / size - part.centerY) / part.scale;
  const u = dx * part.cos + dy * part.sin;
  const v = dy * part.cos - dx * part.sin;
  const pixel = 1 / (size * part.scale);
  const radius = Math.sqrt(u * u + v * v);
  const cover = coverage(1 - radius, pixel);
  if (cover < 1) {
    shadeTable(part, u, v, radius, color);
  }
  if (cover > 0) {
    blendMetal(part, u, v, radius, pixel, cover, surface, color, flaw);
  }
  develop(part, dx, dy, color);
}

/** Blends the metal, and what is visible through its openings, over `color` with the weight `cover`. */
function blendMetal(
  part: Part,
  u: number,
  v: number,
  radius: number,
  pixel: number,
  cover: number,
  surface: Surface,
  color: Float64Array,
  flaw: Flaw | undefined,
): void {
  const holes = flaw?.holes ?? part.holes;
  resetSurface(surface);
  machineFace(part, surface, u, v, radius);
  engrave(surface, u, v, radius, pixel);
  const opening = Math.max(cutBore(surface, u, v, pixel), drillHoles(holes, surface, u, v, pixel));
  flaw?.alter?.(surface, u, v, pixel);
  const light = reflectance(part, surface, u / (radius || 1), v / (radius || 1));
  const inside = opening > 0 ? 0.006 + 0.42 * part.table * openingLight(part, holes, u, v, radius) : 0;
  for (let c = 0; c < 3; c += 1) {
    const metal = mix(light * (surface.tint[c] ?? 1), inside, opening);
    color[c] = mix(color[c] ?? 0, metal, cover);
  }
}

/** Shades the table: matte, slightly uneven, with contact shadow and soft shadow of the part. */
function shadeTable(part: Part, u: number, v: number, radius: number, color: Float64Array): void {
  const fromShadow = length(u + part.keyU * 0.075, v + part.keyV * 0.075);
  const soft = smoothStep(1.14, 0.93, fromShadow);
  const contact = smoothStep(1.05, 0.99, radius);
  const lit = (1 - 0.68 * soft) * (1 - 0.4 * contact);
  const falloff = 1 + 0.1 * (u * part.keyU + v * part.keyV);
  const weave = part.noise(u * 48 + 128, v * 48 + 128, 256);
  color.fill(part.table * lit * falloff * (1 + 0.03 * weave));
}

/** Converts linear light to display levels 0..255: vignette, color of the light, exposure curve, gamma 2. */
function develop(part: Part, dx: number, dy: number, color: Float64Array): void {
  const vignette = 1 - 0.045 * (dx * dx + dy * dy);
  for (let c = 0; c < 3; c += 1) {
    const light = Math.max(0, color[c] ?? 0) * vignette * (part.white[c] ?? 1);
    color[c] = 255 * Math.sqrt((1.5 * light) / (light + 0.72));
  }
}

/** Adds noise, mostly common to the channels of a pixel, and rounds levels to bytes. */
export function addSensorNoise(canvas: Float32Array, deviation: number, random: Random): Uint8Array {
  const pixels = new Uint8ClampedArray(canvas.length);
  const spread = deviation * Math.sqrt(6);
  for (let i = 0; i < canvas.length; i += 3) {
    const common = (random() + random() - 1) * spread;
    const hue = (random() - 0.5) * spread * 0.6;
    pixels[i] = (canvas[i] ?? 0) + common + hue;
    pixels[i + 1] = (canvas[i + 1] ?? 0) + common;
    pixels[i + 2] = (canvas[i + 2] ?? 0) + common - hue;
  }
  return new Uint8Array(pixels.buffer);
}
