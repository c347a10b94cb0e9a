/** How much of an image is lost when it is scaled down. */
import sharp, { type Sharp } from 'sharp';
import type { PictureSize } from './map.js';

/** Longer side of the part that is looked at, pixels: the middle of the image. */
const most = 1024;

/**
 * Returns the share of an image's contrast that is lost for each scale: the root mean square of what scaling down and up again
 * changes, to the standard deviation of the brightness. 0..1; 0 of an image of one brightness.
 * @param picture as people see it, 8 bits per sample.
 * @param scales pixels for each pixel of the image, at most 1.
 */
export async function contrastLost(picture: Uint8Array, scales: readonly number[]): Promise<number[]> {
  const { width, height } = await sharp(picture).metadata();
  const part = { width: Math.min(width, most), height: Math.min(height, most) };
  const middle = { left: (width - part.width) >> 1, top: (height - part.height) >> 1, ...part };
  const gray = await oneChannel(sharp(picture).removeAlpha().extract(middle));
  const resized = (pixels: Buffer, size: PictureSize, to: PictureSize): Promise<Buffer> =>
    oneChannel(
      sharp(pixels, { raw: { ...size, channels: 1 } }).resize(to.width, to.height, {
        kernel: 'cubic',
        fit: 'fill',
      }),
    );
  const mean = gray.reduce((sum, value) => sum + value, 0) / gray.length;
  const deviation = Math.sqrt(gray.reduce((sum, value) => sum + (value - mean) ** 2, 0) / gray.length);
  return Promise.all(
    scales.map(async (scale) => {
      const scaled = (side: number): number => Math.max(1, Math.round(side * scale));
      const small = { width: scaled(part.width), height: scaled(part.height) };
      const up = await resized(await resized(gray, part, small), small, part);
      const changed = gray.reduce((sum, value, at) => sum + (value - (up[at] as number)) ** 2, 0);
      return deviation === 0 ? 0 : Math.min(1, Math.sqrt(changed / gray.length) / deviation);
    }),
  );
}

/** Returns the brightness of each pixel. */
function oneChannel(image: Sharp): Promise<Buffer> {
  return image.toColourspace('b-w').raw().toBuffer();
}
