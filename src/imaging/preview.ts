/** Small pictures, for pages with many. */
import sharp from 'sharp';
import { decodeMask, inspectMask } from './mask.js';

/** Scales a picture down to a longer side, if it is larger. @returns a WebP. */
export function preview(picture: Uint8Array, side: number): Promise<Buffer> {
  return sharp(picture)
    .resize(side, side, { fit: 'inside', withoutEnlargement: true })
    .webp({ quality: 80 })
    .toBuffer();
}

/** Draws a mask in black and white, in a size near a longer side. @returns a PNG. @throws ImageError */
export async function maskPicture(bytes: Uint8Array, side: number): Promise<Buffer> {
  const { width, height } = await inspectMask(bytes);
  const scale = Math.min(1, side / Math.max(width, height));
  const size = {
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
  };
  const { marks } = await decodeMask(bytes, size);
  return sharp(marks, { raw: { ...size, channels: 1 } })
    .png()
    .toBuffer();
}
