/** PNG encoding. */
import sharp from 'sharp';
import type { PixelImage } from './inspect.js';

/**
 * Encodes uint8 pixels as a PNG, one channel (gray) or three (RGB).
 * @param compressionLevel 0 (fast) to 9 (small).
 */
export async function encodePng(
  pixels: Uint8Array,
  width: number,
  height: number,
  channels: 1 | 3,
  compressionLevel = 9,
): Promise<Buffer> {
  const image = sharp(pixels, { raw: { width, height, channels } });
  return (channels === 1 ? image.toColourspace('b-w') : image).png({ compressionLevel }).toBuffer();
}

/** Decodes what {@link encodePng} wrote, uint8 RGB, without any change. */
export async function decodePng(png: Uint8Array): Promise<PixelImage> {
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, pixels: data };
}
