/** Reference images for rescaling an expert's activations to unit size: the same for every expert. */
import { drawSample } from '../datasets/index.js';

const count = 16;
const size = 128;

/** Draws good parts of the procedural sample product, uint8 [16, 128, 128, 3]. */
export function referenceImages(): { pixels: Uint8Array; count: number; size: number } {
  const images = Array.from({ length: count }, (_, index) => drawSample({ seed: 0, index, size }).pixels);
  return { pixels: Buffer.concat(images), count, size };
}
