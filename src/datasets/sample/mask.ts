/** Draws a flaw over the picture of a good part, and the mask of the changed pixels. */

import { renderPixel, storeColor } from './camera.js';
import type { Flaw } from './flaws.js';
import type { Part } from './part.js';
import { blankSurface } from './surface.js';

/** Minimum visible change of a channel, in levels of 255 before noise. */
const VISIBLE_LEVELS = 7;

/** A canvas with a flaw, the mask of the flaw, and the number of pixels in the mask. */
export interface FlawDrawing {
  canvas: Float32Array;
  mask: Uint8Array;
  area: number;
}

/** A block of pixels; `right` and `bottom` are exclusive. */
interface PixelBox {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** Redraws the area around a flaw with the flaw, and marks the pixels that differ visibly. */
export function renderFlaw(good: Float32Array, part: Part, size: number, flaw: Flaw): FlawDrawing {
  const canvas = good.slice();
  const changed = new Uint8Array(size * size);
  const color = new Float64Array(3);
  const surface = blankSurface();
  const box = pixelBox(part, size, flaw);
  for (let y = box.top; y < box.bottom; y += 1) {
    for (let x = box.left; x < box.right; x += 1) {
      const at = y * size + x;
      renderPixel(part, size, x, y, surface, color, flaw);
      storeColor(canvas, at * 3, color);
      changed[at] = isVisible(good, color, at * 3) || isCovered(part, size, x, y, flaw) ? 255 : 0;
    }
  }
  return { canvas, ...fillPinholes(changed, size, box) };
}

/** Returns the box of pixels that a flaw's circle touches. */
function pixelBox(part: Part, size: number, flaw: Flaw): PixelBox {
  const x = (part.centerX + (flaw.u * part.cos - flaw.v * part.sin) * part.scale) * size;
  const y = (part.centerY + (flaw.v * part.cos + flaw.u * part.sin) * part.scale) * size;
  const reach = flaw.reach * part.scale * size + 2;
  return {
    left: Math.max(0, Math.floor(x - reach)),
    right: Math.min(size, Math.ceil(x + reach)),
    top: Math.max(0, Math.floor(y - reach)),
    bottom: Math.min(size, Math.ceil(y + reach)),
  };
}

function isVisible(good: Float32Array, color: Float64Array, at: number): boolean {
  for (let c = 0; c < 3; c += 1) {
    if (Math.abs((good[at + c] ?? 0) - (color[c] ?? 0)) >= VISIBLE_LEVELS) {
      return true;
    }
  }
  return false;
}

function isCovered(part: Part, size: number, x: number, y: number, flaw: Flaw): boolean {
  if (!flaw.covers) {
    return false;
  }
  const dx = ((x + 0.5) / size - part.centerX) / part.scale;
  const dy = ((y + 0.5) / size - part.centerY) / part.scale;
  const u = dx * part.cos + dy * part.sin;
  const v = dy * part.cos - dx * part.sin;
  return flaw.covers(u, v);
}

/** Fills pinholes by also marking pixels with 6 or more marked neighbors, and counts the marked pixels. */
function fillPinholes(changed: Uint8Array, size: number, box: PixelBox): { mask: Uint8Array; area: number } {
  const mask = changed.slice();
  let area = 0;
  for (let y = Math.max(1, box.top); y < Math.min(size - 1, box.bottom); y += 1) {
    for (let x = Math.max(1, box.left); x < Math.min(size - 1, box.right); x += 1) {
      const at = y * size + x;
      if (changed[at] !== 0 || markedNeighbors(changed, at, size) >= 6) {
        mask[at] = 255;
        area += 1;
      }
    }
  }
  return { mask, area };
}

function markedNeighbors(mask: Uint8Array, at: number, size: number): number {
  let sum = -(mask[at] ?? 0);
  for (let row = at - size; row <= at + size; row += size) {
    sum += (mask[row - 1] ?? 0) + (mask[row] ?? 0) + (mask[row + 1] ?? 0);
  }
  return sum / 255;
}
