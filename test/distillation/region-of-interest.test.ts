/** Detectors with a region of interest, and for images that are not square. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { drawSample } from '../../src/datasets/index.js';
import { readManifest } from '../../src/detector/index.js';
import { changePhotos, distill } from '../../src/distillation/index.js';
import { encodePng } from '../../src/imaging/index.js';
import { openDetector } from '../../src/library.js';
import { testProvider } from '../support/provider.js';

const device = { provider: testProvider, threads: 1 } as const;
const settings = { recipe: 'linear', inputSize: 64, device } as const;
const size = 96;

/** Draws a part, with or without a mark at a place, wider than high. */
async function photo(index: number, mark?: { readonly left: number; readonly top: number }): Promise<Buffer> {
  const { pixels } = drawSample({ seed: 11, index, size });
  const marks = mark
    ? [{ input: { create: { width: 12, height: 12, channels: 3 as const, background: '#e02020' } }, ...mark }]
    : [];
  return sharp(await encodePng(pixels, size, size, 3))
    .extend({ left: 24, right: 24, background: '#404040' })
    .toBuffer()
    .then((wide) => sharp(wide).composite(marks).png().toBuffer());
}

/** A square at the upper left corner, as a polygon. */
const squareOf = (side: number) => [
  [0, 0],
  [side, 0],
  [side, side],
  [0, side],
];

async function photos(t: Test, count: number): Promise<{ root: string; dataset: string; roi: string }> {
  const root = t.testdir();
  const [dataset, roi] = [join(root, 'photos'), join(root, 'roi.json')];
  await mkdir(dataset);
  for (let index = 0; index < count; index++)
    await writeFile(join(dataset, `${index}.png`), await photo(index));
  // The right half.
  const polygons = [
    [
      [72, 0],
      [144, 0],
      [144, 96],
      [72, 96],
    ],
  ];
  await writeFile(roi, JSON.stringify({ width: 144, height: 96, polygons }));
  return { root, dataset, roi };
}

t.test('what lies outside of the region changes nothing, and what lies inside does', async (t) => {
  const { root, dataset, roi } = await photos(t, 12);
  const out = join(root, 'detector');
  const manifest = await distill({ ...settings, dataset, out, regionOfInterest: roi, fit: 'letterbox' });
  t.match(manifest, { fit: 'letterbox', regionOfInterest: { share: 0.5 } });
  const detector = await openDetector(out, device);
  t.teardown(() => detector.close());
  const good = await detector.localize(await photo(50));
  const outside = await detector.localize(await photo(50, { left: 30, top: 40 }));
  const inside = await detector.localize(await photo(50, { left: 90, top: 40 }));
  t.equal(outside.score, good.score);
  t.strictSame([...outside.map.values], [...good.map.values]);
  t.ok(inside.score > good.score + 5, `${inside.score} and ${good.score}`);
  const { map } = inside;
  t.match(map, { width: 64, height: 43 }, 'the map has the shape of the image');
  const highest = map.values.indexOf(Math.max(...map.values));
  const [x, y] = [((highest % map.width) * 144) / 64, (Math.floor(highest / map.width) * 96) / 43];
  t.ok(x > 82 && x < 110 && y > 32 && y < 60, `the mark is at ${x}, ${y}`);
  const left = map.values.filter((_, at) => at % map.width < map.width / 2);
  t.ok(left.every((value) => value === 0));
});

t.test('photos that are added are seen in the same way, number for number', async (t) => {
  const { root, dataset, roi } = await photos(t, 12);
  const [whole, grown, rest] = ['whole', 'grown', 'rest'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  const shape = { regionOfInterest: roi, fit: 'crop' } as const;
  await distill({ ...settings, ...shape, dataset, out: whole });
  await mkdir(rest);
  for (const index of [8, 9, 10, 11]) {
    await rm(join(dataset, `${index}.png`));
    await writeFile(join(rest, `${index}.png`), await photo(index));
  }
  await distill({ ...settings, ...shape, dataset, out: grown });
  await changePhotos({ detector: grown, dataset: rest, device });
  const [one, other] = [await readManifest(grown), await readManifest(whole)];
  t.equal(one.manifest.cloner.sha256, other.manifest.cloner.sha256);
  t.equal(one.version, other.version);
  t.strictSame(one.manifest.calibration, other.manifest.calibration);
});

t.test(
  'a region that does not fit is told of; one too small to tell photos apart is refused, and the detector before it stays',
  async (t) => {
    const { root, dataset } = await photos(t, 8);
    const out = join(root, 'detector');
    await distill({ ...settings, dataset, out });
    const { version } = await readManifest(out);
    const whole = join(root, 'whole.json');
    await writeFile(whole, JSON.stringify({ width: 9, height: 9, polygons: [squareOf(9)] }));
    const warnings: string[] = [];
    const onWarning = (warning: string): void => void warnings.push(warning);
    await distill({ ...settings, dataset, out: join(root, 'other'), regionOfInterest: whole, onWarning });
    t.ok(warnings.some((warning) => warning.includes('all of the image is inside')));
    t.ok(warnings.some((warning) => warning.includes('another shape than the photos (144 x 96)')));
    const corner = join(root, 'corner.json');
    // With a byte order mark, as some editors write.
    await writeFile(corner, `\ufeff${JSON.stringify({ width: 144, height: 96, polygons: [squareOf(8)] })}`);
    await t.rejects(distill({ ...settings, dataset, out, regionOfInterest: corner }), {
      message: /regionOfInterest: it is too small, the photos do not differ inside it/,
    });
    t.equal((await readManifest(out)).version, version);
  },
);

t.test('settings that do not go together are refused', async (t) => {
  const { root, dataset, roi } = await photos(t, 8);
  const out = join(root, 'detector');
  const refused = (options: object, message: RegExp) =>
    t.rejects(distill({ ...settings, dataset, out, ...options }), { message });
  await refused({ fit: 'crop', tileScale: 1 }, /fit crop: tiles keep the aspect ratio/);
  await refused({ regionOfInterest: join(root, 'none.png') }, /regionOfInterest: .*none\.png does not exist/);
  await refused(
    { regionOfInterest: roi, recipe: 'paper' },
    /regionOfInterest: the paper recipe has no such setting/,
  );
});
