/** Regions of interest from files: masks, and polygons in JSON. */
import sharp from 'sharp';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { ImageError } from './image-error.js';
import type { PictureSize, RegionOfInterest } from './map.js';
import { decodeMask, inspectMask } from './mask.js';

/** Longer side of a stored region, pixels: finer than the positions that are compared. */
const mostPixels = 512;

const point = Type.Tuple([Type.Number(), Type.Number()]);
const polygonsSchema = Type.Object({
  width: Type.Integer({ minimum: 1 }),
  height: Type.Integer({ minimum: 1 }),
  polygons: Type.Array(Type.Array(point, { minItems: 3 }), { minItems: 1 }),
});

/** Reads a region from a mask: inside is what is not black. @throws ImageError if it is no image, or nothing is inside. */
export async function regionOfMask(bytes: Uint8Array): Promise<RegionOfInterest> {
  const size = reduced(await inspectMask(bytes));
  const { marks } = await decodeMask(bytes, size);
  const region = { ...size, inside: marks.map((value) => value & 1) };
  if (region.inside.includes(1)) return region;
  throw new ImageError(
    'unsupported',
    'the whole mask is black; wanted white, or any other value, inside the region',
  );
}

/**
 * Reads a region from JSON with `width` and `height` of an image and `polygons` in its pixels.
 * @throws ImageError if it is none, or nothing is inside.
 */
export async function regionOfPolygons(text: string): Promise<RegionOfInterest> {
  const { width, height, polygons } = parsePolygons(text);
  const size = reduced({ width, height });
  const shapes = polygons.map((points) => `<polygon points="${points.join(' ')}" fill="white"/>`);
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${size.width}" height="${size.height}" viewBox="0 0 ${width} ${height}" preserveAspectRatio="none">${shapes.join('')}</svg>`;
  const alpha = await sharp(Buffer.from(svg)).extractChannel('alpha').raw().toBuffer();
  const region = { ...size, inside: Uint8Array.from(alpha, (value) => (value > 127 ? 1 : 0)) };
  if (region.inside.includes(1)) return region;
  throw new ImageError(
    'unsupported',
    `the polygons enclose nothing of an image of ${width} x ${height} pixels`,
  );
}

const example = '{"width": 1920, "height": 1080, "polygons": [[[0, 0], [800, 0], [800, 1080]]]}';

/** Reads polygons. @throws ImageError if the text holds none. */
export function parsePolygons(text: string): Static<typeof polygonsSchema> {
  const wrong = (why: string): ImageError =>
    new ImageError('unsupported', `the region of interest ${why}; wanted JSON such as ${example}`);
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw wrong(`is not JSON (${(error as Error).message})`);
  }
  if (Value.Check(polygonsSchema, content)) return content as Static<typeof polygonsSchema>;
  const [first] = Value.Errors(polygonsSchema, content);
  throw wrong(`is not valid: ${first?.instancePath || 'it'} ${first?.message ?? ''}`.trimEnd());
}

function reduced({ width, height }: PictureSize): PictureSize {
  const scale = Math.min(1, mostPixels / Math.max(width, height));
  const scaled = (side: number): number => Math.max(1, Math.round(side * scale));
  return { width: scaled(width), height: scaled(height) };
}
