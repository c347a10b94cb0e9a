/** Small pictures, for pages with many. */
import sharp from 'sharp';
import type { PictureSize } from './map.js';
import { decodeMask, inspectMask } from './mask.js';
import type { ScaledImage } from './tiles.js';

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

/**
 * Draws what a detector sees of an image in the image's own shape, without bars. What the detector does not see is transparent.
 * @param shape of the image, if it was stretched; otherwise its shape is known.
 * @returns a PNG, in pixels of the scaled image.
 */
export function inOwnShape({ grid, pixels }: ScaledImage, shape: PictureSize = grid): Promise<Buffer> {
  const { placement, ...size } = grid;
  const { from, to, image } = placement ?? {
    from: { x: 0, y: 0, ...shape },
    to: { x: 0, y: 0, width: size.width, height: size.height },
    image: shape,
  };
  const scale = Math.max(to.width / from.width, to.height / from.height);
  const scaled = (length: number): number => Math.round(length * scale);
  const seen = { width: Math.max(1, scaled(from.width)), height: Math.max(1, scaled(from.height)) };
  return sharp(pixels, { raw: { width: size.width, height: size.height, channels: 3 } })
    .extract({ left: to.x, top: to.y, width: to.width, height: to.height })
    .resize(seen.width, seen.height, { fit: 'fill' })
    .ensureAlpha()
    .extend({
      left: scaled(from.x),
      right: Math.max(0, scaled(image.width - from.x) - seen.width),
      top: scaled(from.y),
      bottom: Math.max(0, scaled(image.height - from.y) - seen.height),
      background: { r: 0, g: 0, b: 0, alpha: 0 },
    })
    .png()
    .toBuffer();
}
