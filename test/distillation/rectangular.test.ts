/** Detectors whose input is not square: line scans, long parts. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import t from 'tap';
import { drawSample } from '../../src/datasets/index.js';
import { readDetector } from '../../src/detector/index.js';
import { distill } from '../../src/distillation/index.js';
import { hintAtInput } from '../../src/distillation/linear/input-hints.js';
import { encodePng, findRegions } from '../../src/imaging/index.js';
import { openDetector } from '../../src/library.js';
import { methodsOf } from '../../src/scoring/index.js';
import { testProvider } from '../support/provider.js';

const device = { provider: testProvider, threads: 1 } as const;
const [width, height] = [192, 96];

/** Draws two parts side by side, the right one with a mark if asked for. */
async function photo(index: number, marked = false): Promise<Buffer> {
  const [left, right] = await Promise.all(
    [0, 1].map(async (side) => {
      const { pixels } = drawSample({ seed: 13, index: 2 * index + side, size: height });
      return encodePng(pixels, height, height, 3);
    }),
  );
  const mark = { create: { width: 14, height: 14, channels: 3 as const, background: '#e02020' } };
  return sharp({ create: { width, height, channels: 3, background: '#000' } })
    .composite([
      { input: left as Buffer, left: 0, top: 0 },
      { input: right as Buffer, left: height, top: 0 },
      ...(marked ? [{ input: mark, left: 150, top: 30 }] : []),
    ])
    .png()
    .toBuffer();
}

const root = t.testdir();
const dataset = join(root, 'photos');
await mkdir(dataset);
for (let index = 0; index < 12; index++) await writeFile(join(dataset, `${index}.png`), await photo(index));
const settings = { recipe: 'linear', dataset, device } as const;

t.test('photos that lose their shape or their detail are told of', async (t) => {
  const warnings: string[] = [];
  const onWarning = (warning: string): void => void warnings.push(warning);
  const out = join(root, 'squeezed');
  await distill({ ...settings, out, onWarning });
  const squeezed = warnings.filter((warning) => warning.includes('squeezed'));
  t.match(squeezed, [/2\.0 times as wide as high .*--size 352x192 keeps their shape/]);
  // The same without making detectors: a size was asked for, and larger photos.
  const hint = async (folder: string): Promise<void> => {
    const paths = (await readdir(folder)).map((name) => join(folder, name));
    await hintAtInput(paths, { dataset: folder, out, inputSize: 64, onWarning }, { inputSize: 64 });
  };
  await hint(settings.dataset);
  t.equal(warnings.filter((warning) => warning.includes('squeezed to 64 x 64')).length, 1);
  warnings.length = 0;
  const striped = async (name: string, across: number): Promise<string> => {
    const folder = join(root, name);
    await mkdir(folder);
    const data = Uint8Array.from({ length: 256 * 256 }, (_, at) =>
      (at % 256) % across < across / 2 ? 40 : 200,
    );
    const stripes = sharp(data, { raw: { width: 256, height: 256, channels: 1 } });
    for (let index = 0; index < 8; index++) await stripes.clone().toFile(join(folder, `${index}.png`));
    return folder;
  };
  await hint(await striped('coarse', 128));
  await hint(await striped('fine', 4));
  const [coarse = '', fine = ''] = warnings;
  t.match(coarse, /^at 64 x 64 pixels 1?\d % of the photos' contrast is lost/, 'the edges');
  t.match(
    fine,
    /^at 64 x 64 pixels (9\d|100) % of .*; --size 96 loses \d+ %, --size 128 loses \d+ %, --tile-scale 0\.5, in 9 tiles an image, \d+ %$/,
  );
});

t.test('scores and maps of every method have the shape of the input', async (t) => {
  const out = join(root, 'line');
  const manifest = await distill({ ...settings, out, inputSize: { width: 128, height: 64 } });
  t.strictSame(manifest.inputSize, { width: 128, height: 64 });
  const detector = await openDetector(out, device);
  t.teardown(() => detector.close());
  const good = await detector.score(await photo(40));
  const image = await photo(40, true);
  t.ok((await detector.score(image)).score > good.score + 5);
  for (const method of methodsOf(await readDetector(out))) {
    if (method === 'smoothgrad') continue;
    const { map } = await detector.localize(image, { method });
    t.match(map, { width: 128, height: 64 }, method);
    const sum = (half: number): number =>
      map.values.reduce(
        (total, value, at) => (Math.floor((at % 128) / 64) === half ? total + value : total),
        0,
      );
    t.ok(sum(1) > 1.5 * sum(0), `${method}: the half with the mark has ${sum(1)}, the other ${sum(0)}`);
  }
  const { map, regions } = await detector.localize(image);
  const highest = map.values.indexOf(Math.max(...map.values));
  const [x, y] = [(highest % 128) * (width / 128), Math.floor(highest / 128) * (height / 64)];
  t.ok(x > 138 && x < 176 && y > 18 && y < 56, `the mark is at ${x}, ${y}`);
  t.strictSame(
    regions,
    findRegions(map, manifest.calibration.mapThresholds.discrepancy ?? 0, { width, height }),
  );
});

t.test('tiles need not be square either', async (t) => {
  const out = join(root, 'tiles');
  await distill({ ...settings, out, inputSize: { width: 64, height: 96 }, tileScale: 1 });
  const detector = await openDetector(out, device);
  t.teardown(() => detector.close());
  const { tiles, map } = await detector.localize(await photo(40, true));
  t.match(tiles, { count: 4, highest: { width: 64, height: 96 } });
  t.equal(map.width / map.height, width / height);
  t.ok(Math.abs((tiles?.highest.x ?? 0) + 32 - 157) < 40, 'the tile with the mark is the highest');
});

t.test('trained cloners and sizes that do not fit are refused', async (t) => {
  const out = join(root, 'refused');
  const refused = (options: object, message: RegExp) =>
    t.rejects(distill({ ...settings, out, ...options }), { message });
  await refused(
    { inputSize: { width: 128, height: 64 }, recipe: 'paper' },
    /size 128x64: the paper recipe takes squares only, such as 128/,
  );
  await refused({ inputSize: { width: 128, height: 32 } }, /size 128x32: must be a multiple of 32 from 64/);
});
