/** Several images on one picture. */
import sharp from 'sharp';
import type { PixelImage } from './inspect.js';

const columns = 6;
/** Side of an image on the sheet, and the gap around it, in pixels. */
const side = 192;
const gap = 8;

/** Draws images in reading order, each scaled into a square. @returns a PNG. */
export async function contactSheet(images: readonly PixelImage[]): Promise<Buffer> {
  const placed = await Promise.all(
    images.map(async ({ pixels, width, height }, index) => ({
      input: await sharp(pixels, { raw: { width, height, channels: 3 } })
        .resize(side, side, { fit: 'contain', background: '#ffffff' })
        .png()
        .toBuffer(),
      left: gap + (index % columns) * (side + gap),
      top: gap + Math.floor(index / columns) * (side + gap),
    })),
  );
  const across = Math.min(columns, images.length);
  const down = Math.ceil(images.length / columns);
  const size = { width: gap + across * (side + gap), height: gap + down * (side + gap) };
  return sharp({ create: { ...size, channels: 3, background: '#ffffff' } })
    .composite(placed)
    .png()
    .toBuffer();
}
