/** Regions of interest, and images that are not square: what counts, and where maps show it. */
import sharp from 'sharp';
import t from 'tap';
import {
  countedValues,
  decodeImage,
  mapOfImage,
  regionOfMask,
  regionOfPolygons,
  shareInside,
  tileGrid,
} from '../../src/imaging/index.js';
import { picturePng } from '../support/images.js';

const blank = [124, 116, 104];
const pixel = (pixels: Uint8Array, width: number, x: number, y: number): number[] => [
  ...pixels.subarray(3 * (y * width + x), 3 * (y * width + x) + 3),
];

/** Black, white in the left quarter. */
const leftQuarter = () =>
  sharp({ create: { width: 80, height: 40, channels: 3, background: '#000' } })
    .composite([
      { input: { create: { width: 20, height: 40, channels: 3, background: '#fff' } }, left: 0, top: 0 },
    ])
    .png()
    .toBuffer();

t.test('a mask and polygons give the same region', async (t) => {
  const masked = await regionOfMask(await leftQuarter());
  t.equal(shareInside(masked), 0.25);
  const polygons = {
    width: 800,
    height: 400,
    polygons: [
      [
        [0, 0],
        [200, 0],
        [200, 400],
        [0, 400],
      ],
    ],
  };
  const drawn = await regionOfPolygons(JSON.stringify(polygons));
  t.equal(shareInside(drawn), 0.25);
});

t.test('what is no region is refused with what is wrong', async (t) => {
  for (const [text, message] of [
    ['{', /is not JSON \(.*\); wanted JSON such as .*"polygons"/],
    ['{"width": 4, "height": 4}', /is not valid: .*polygons/],
    [
      '{"width": -1, "height": 4, "polygons": [[[0, 0], [1, 1], [1, 0]]]}',
      /is not valid: \/width must be >= 1/,
    ],
    [
      '{"width": 4, "height": 4, "polygons": [[[0, 0], [1, 1]]]}',
      /is not valid: \/polygons\/0 must not have fewer/,
    ],
    [
      '{"width": 4, "height": 4, "polygons": [[[9, 9], [8, 9], [8, 8]]]}',
      /enclose nothing of an image of 4 x 4/,
    ],
  ] as const) {
    await t.rejects(regionOfPolygons(text), { message });
  }
  await t.rejects(regionOfMask(Buffer.from('hello')), { message: /JPEG, PNG/ });
  const black = sharp({ create: { width: 8, height: 8, channels: 3, background: '#000' } });
  await t.rejects(regionOfMask(await black.png().toBuffer()), { message: /the whole mask is black/ });
});

t.test('outside of the region pixels are blank and maps are 0, also with tiles', async (t) => {
  const region = await regionOfMask(await leftQuarter());
  for (const tiling of [undefined, { scale: 1, overlap: 8 }]) {
    const { grid, pixels } = await decodeImage(await picturePng(128, 96), { inputSize: 64, tiling, region });
    const { width, height } = grid;
    for (let y = 0; y < height; y += 5) {
      for (let x = 0; x < width; x += 5) {
        const isBlank = pixel(pixels, width, x, y).every((value, channel) => value === blank[channel]);
        if (isBlank !== x >= width / 4) t.fail(`${x}, ${y} of ${width} x ${height}`);
      }
    }
    const map = { width: 32, height: 16, values: new Float32Array(32 * 16).fill(3) };
    t.equal(countedValues(map, grid, region).length, 8 * 16, 'a quarter of the places counts');
    const { values } = mapOfImage(map, grid, region);
    t.equal(values.filter((value) => value === 3).length, 8 * 16);
    t.equal(values[7], 3);
    t.equal(values[8], 0);
  }
});

t.test('a letterbox keeps the aspect ratio, and its map is that of the image alone', async (t) => {
  const shape = { inputSize: 64, fit: 'letterbox' } as const;
  const { grid, pixels } = await decodeImage(await picturePng(128, 96), shape);
  t.match(grid.placement, { to: { x: 0, y: 8, width: 64, height: 48 } });
  t.strictSame(pixel(pixels, 64, 30, 7), blank);
  t.strictSame(pixel(pixels, 64, 30, 56), blank);
  const scaled = await sharp(await picturePng(128, 96))
    .resize(64, 48, { fit: 'fill', kernel: 'cubic' })
    .raw()
    .toBuffer();
  t.ok(scaled.equals(Buffer.from(pixels.subarray(3 * 8 * 64, 3 * 56 * 64))), 'the picture is in between');
  const values = Float32Array.from({ length: 64 * 64 }, (_, at) => Math.floor(at / 64));
  const map = mapOfImage({ width: 64, height: 64, values }, grid, undefined);
  t.match(map, { width: 64, height: 48 });
  t.equal(map.values[0], 8);
  t.equal(map.values.at(-1), 55);
  t.equal(countedValues({ width: 64, height: 64, values }, grid, undefined).length, 64 * 48);
});

t.test('a crop sees the middle, and its map has nothing beside it', async (t) => {
  const shape = { inputSize: 48, fit: 'crop' } as const;
  const picture = await picturePng(144, 48);
  const { grid, pixels } = await decodeImage(picture, shape);
  const middle = await sharp(picture).extract({ left: 48, top: 0, width: 48, height: 48 }).raw().toBuffer();
  t.ok(middle.equals(Buffer.from(pixels)));
  const map = mapOfImage(
    { width: 48, height: 48, values: new Float32Array(48 * 48).fill(2) },
    grid,
    undefined,
  );
  t.match(map, { width: 144, height: 48 });
  t.strictSame([...map.values.subarray(46, 50)], [0, 0, 2, 2]);
  t.strictSame([...map.values.subarray(94, 98)], [2, 2, 0, 0]);
});

t.test('the region is where it is in the image, however that is placed', async (t) => {
  const region = await regionOfMask(await leftQuarter());
  const place = (fit: 'letterbox' | 'crop') => tileGrid({ width: 128, height: 64 }, { inputSize: 64, fit });
  const map = { width: 64, height: 64, values: new Float32Array(64 * 64).fill(1) };
  t.equal(countedValues(map, place('letterbox'), region).length, 16 * 32);
  t.equal(countedValues(map, place('crop'), region).length, 0, 'the middle has nothing of the left quarter');
});
