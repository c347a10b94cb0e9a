/** Several images on one picture. */
import sharp from 'sharp';
import type { PixelImage } from './inspect.js';

const columns = 6;
/** Side of an image on the sheet, the gap around it, and the width of a frame in the gap, in pixels. */
const [side, gap, frame] = [192, 8, 4];

/** A picture on a sheet: a PNG, and the color of its frame. */
export interface SheetPicture {
  readonly png: Uint8Array;
  readonly frame: string;
}

/** Scales a picture to its place on a sheet, so that many fit into memory. @returns a PNG. */
export function forSheet(picture: Uint8Array | PixelImage): Promise<Buffer> {
  const opened =
    picture instanceof Uint8Array
      ? sharp(picture)
      : sharp(picture.pixels, { raw: { width: picture.width, height: picture.height, channels: 3 } });
  return opened.resize(side, side, { fit: 'contain', background: '#ffffff' }).png().toBuffer();
}

/** Draws pictures of {@link forSheet} in reading order. @returns a PNG. */
export async function contactSheet(pictures: readonly SheetPicture[]): Promise<Buffer> {
  const placed = pictures.flatMap(({ png, frame: color }, index) => {
    const left = gap + (index % columns) * (side + gap);
    const top = gap + Math.floor(index / columns) * (side + gap);
    const framed = side + 2 * frame;
    const border = { width: framed, height: framed, channels: 3 as const, background: color };
    return [
      { input: { create: border }, left: left - frame, top: top - frame },
      { input: Buffer.from(png), left, top },
    ];
  });
  const across = Math.min(columns, pictures.length);
  const down = Math.ceil(pictures.length / columns);
  const size = { width: gap + across * (side + gap), height: gap + down * (side + gap) };
  return sharp({ create: { ...size, channels: 3, background: '#ffffff' } })
    .composite(placed)
    .png()
    .toBuffer();
}
