/** Test images. */
import sharp, { type Sharp } from 'sharp';

/** Returns a picture with content: shades from left to right and a bright square. */
export function pictureRaw(width: number, height: number): Uint8Array {
  const pixels = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const inSquare = x > width / 2 && y > height / 2;
      pixels.set(
        [Math.round((255 * x) / width), inSquare ? 230 : 60, Math.round((255 * y) / height)],
        (y * width + x) * 3,
      );
    }
  }
  return pixels;
}

export function picture(width = 64, height = 48): Sharp {
  return sharp(pictureRaw(width, height), { raw: { width, height, channels: 3 } });
}

export const picturePng = (width?: number, height?: number): Promise<Buffer> =>
  picture(width, height).png().toBuffer();
export const pictureJpeg = (width?: number, height?: number): Promise<Buffer> =>
  picture(width, height).jpeg({ quality: 95 }).toBuffer();
