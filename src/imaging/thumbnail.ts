/** Thumbnails, by which photos of one part are recognized. */
import type { ScaledImage } from './tiles.js';

/** Pixels along each side. */
export const thumbnailSide = 16;

/** Returns a thumbnail of a scaled image, gray: uint8 [16, 16]. */
export function thumbnail({ grid: { width, height }, pixels }: ScaledImage): Uint8Array {
  const sums = new Float64Array(thumbnailSide ** 2);
  const counts = new Uint32Array(thumbnailSide ** 2);
  for (let y = 0; y < height; y++) {
    const row = Math.floor((y * thumbnailSide) / height) * thumbnailSide;
    for (let x = 0; x < width; x++) {
      const cell = row + Math.floor((x * thumbnailSide) / width);
      const at = 3 * (y * width + x);
      // Luminance of Rec. 601.
      const gray =
        0.299 * (pixels[at] as number) +
        0.587 * (pixels[at + 1] as number) +
        0.114 * (pixels[at + 2] as number);
      sums[cell] = (sums[cell] as number) + gray;
      counts[cell] = (counts[cell] as number) + 1;
    }
  }
  return Uint8Array.from(sums, (sum, cell) => Math.round(sum / (counts[cell] as number)));
}
