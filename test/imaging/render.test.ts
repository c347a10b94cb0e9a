/** Rendered maps: one color scale for all images, the size of the original. */
import sharp from 'sharp';
import t from 'tap';
import { encodeNpy, renderHeatmap, renderMask, renderOverlay, resizeMap } from '../../src/imaging/index.js';
import { picturePng } from '../support/images.js';
import { sameBytes } from '../support/same-bytes.js';

/** Returns a dark map with one bright square in the middle. */
function spot(bright: number, size = 32) {
  const values = Float32Array.from({ length: size * size }, (_, index) => {
    const [y, x] = [Math.floor(index / size), index % size];
    return Math.abs(x - size / 2) < 6 && Math.abs(y - size / 2) < 6 ? bright : 0.1;
  });
  return { width: size, height: size, values };
}

const to = { width: 100, height: 60 };

async function grayLevels(png: Buffer): Promise<{ data: Buffer; width: number; height: number }> {
  const { data, info } = await sharp(png).toColourspace('b-w').raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height };
}

t.test('a heatmap has the size of the image, and good parts stay dark', async (t) => {
  const good = await grayLevels(await renderHeatmap(spot(0.5), 1, to));
  t.match(good, to);
  t.ok(Math.max(...good.data) < 10, 'everything below half the threshold is black');
  const bad = await grayLevels(await renderHeatmap(spot(50), 1, to));
  t.ok((bad.data[30 * 100 + 50] as number) > 200, 'far above the threshold it is bright');
});

t.test('a mask is white where the map reaches the threshold', async (t) => {
  const mask = await grayLevels(await renderMask(spot(2), 1, to));
  t.match(mask, to);
  t.strictSame([...new Set(mask.data)].sort(), [0, 255]);
  t.equal(mask.data[30 * 100 + 50], 255);
  t.equal(mask.data[0], 0);
});

t.test('a speck smaller than the opening is removed from the mask', async (t) => {
  const values = new Float32Array(32 * 32).fill(0.1);
  values[16 * 32 + 16] = 3;
  const mask = await grayLevels(
    await renderMask({ width: 32, height: 32, values }, 1, { width: 32, height: 32 }),
  );
  t.notOk(mask.data.includes(255));
});

t.test('an overlay does not change an image without anomalies', async (t) => {
  const image = await picturePng(100, 60);
  const overlay = await renderOverlay(image, spot(0.2), 1, to);
  const [before, after] = (await Promise.all([image, overlay].map((png) => sharp(png).raw().toBuffer()))) as [
    Buffer,
    Buffer,
  ];
  t.ok(sameBytes(after, before));
});

t.test('a map is scaled bilinearly, in float32', async (t) => {
  const map = { width: 2, height: 2, values: Float32Array.of(0, 1, 2, 3) };
  const scaled = await resizeMap(map, { width: 4, height: 2 });
  t.strictSame([...scaled], [0, 0.25, 0.75, 1, 2, 2.25, 2.75, 3]);
});

t.test('an .npy file has an aligned header and little-endian floats', async (t) => {
  const npy = encodeNpy(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]);
  t.equal(npy.toString('latin1', 1, 6), 'NUMPY');
  const dataAt = 10 + npy.readUInt16LE(8);
  t.equal(dataAt % 64, 0);
  t.match(npy.toString('latin1', 10, dataAt), "'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)");
  t.equal(npy.readFloatLE(dataAt + 20), 6);
});
