/** Photos of the sample product, as clients upload them. */
import { drawSample, type SampleDefect } from '../../src/datasets/index.js';
import { encodePng } from '../../src/imaging/index.js';

/** Draws parts of one batch. */
export async function samplePhotos(count: number, seed = 11): Promise<Buffer[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => samplePhoto(index, seed)));
}

export async function samplePhoto(index: number, seed = 11, defect?: SampleDefect): Promise<Buffer> {
  const { width, height, pixels } = drawSample({ seed, index, ...(defect ? { defect } : {}) });
  return Buffer.from(await encodePng(pixels, width, height, 3));
}

/** Returns a form with photos, named 0.png and so on. */
export function formOf(photos: readonly Uint8Array[], field = 'photo'): FormData {
  const form = new FormData();
  for (const [index, photo] of photos.entries()) {
    form.append(field, new Blob([Uint8Array.from(photo)]), `${index}.png`);
  }
  return form;
}
