/** What a detector sees of a photo is shown in the photo's own shape. */
import sharp from 'sharp';
import t from 'tap';
import { decodeImage, inOwnShape } from '../../src/imaging/index.js';

/** A wide photo: its left third red, then green, then blue. */
const size = { width: 300, height: 100 };
const thirds = sharp({ create: { ...size, channels: 3, background: '#00ff00' } })
  .composite(
    [
      { background: '#ff0000', left: 0 },
      { background: '#0000ff', left: 200 },
    ].map(({ background, left }) => ({
      input: { create: { width: 100, height: 100, channels: 3 as const, background } },
      left,
      top: 0,
    })),
  )
  .png();
const at = async (png: Buffer, x: number, y: number): Promise<number[]> => {
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  const pixel = Math.round(y * (info.height - 1)) * info.width + Math.round(x * (info.width - 1));
  return [...data.subarray(pixel * info.channels, (pixel + 1) * info.channels)];
};

for (const fit of ['stretch', 'letterbox', 'crop'] as const) {
  t.test(`${fit}: what the detector sees is where it is in the photo`, async (t) => {
    const seen = await decodeImage(await thirds.toBuffer(), { inputSize: 64, fit });
    const png = await inOwnShape(seen, fit === 'stretch' ? size : undefined);
    const { width, height } = await sharp(png).metadata();
    t.equal(Math.round((10 * width) / height), 30, 'the shape of the photo');
    t.strictSame(await at(png, 0.5, 0.5), [0, 255, 0, 255], 'the middle');
    const sides = fit === 'crop' ? [[0, 0, 0, 0], [0, 0, 0, 0]] : [[255, 0, 0, 255], [0, 0, 255, 255]]; // biome-ignore format: a table
    t.strictSame([await at(png, 0.1, 0.5), await at(png, 0.9, 0.5)], sides);
  });
}

t.test('a photo of another size takes on the shape', async (t) => {
  const seen = await decodeImage(await thirds.toBuffer(), { inputSize: 64 });
  const { width, height } = await sharp(await inOwnShape(seen, { width: 10, height: 40 })).metadata();
  t.strictSame([width, height], [64, 256]);
});
