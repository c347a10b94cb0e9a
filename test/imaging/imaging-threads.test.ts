/** Threads that work on images give what the same functions give in this thread, and leave the event loop free. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import sharp from 'sharp';
import t from 'tap';
import {
  artifacts,
  directImager,
  ImageError,
  ImagingThreads,
  defaultImageLimits as limits,
  type MappedImage,
} from '../../src/imaging/index.js';
import { pictureJpeg } from '../support/images.js';

const threads = new ImagingThreads(2);
t.teardown(() => threads.close());

const size = { width: 300, height: 200 };
const shape = { inputSize: 64 };
const map = {
  width: 64,
  height: 64,
  // One region, a bar from the top to the bottom.
  values: Float32Array.from({ length: 64 * 64 }, (_, at) => (at % 64 > 20 && at % 64 < 30 ? 9 : 0.5)),
};

const photo = () => pictureJpeg(size.width, size.height);

t.test('decoding, regions and all artifacts are the same', async (t) => {
  const image = await photo();
  const { release, ...decoded } = await threads.decode(image, shape, limits);
  const expected = await directImager.decode(image, shape, limits);
  t.strictSame({ ...decoded, pixels: [...decoded.pixels] }, { ...expected, pixels: [...expected.pixels] });
  const regions = await threads.regions(map, 2, size);
  t.equal(regions.length, 1);
  t.strictSame(regions, await directImager.regions(map, 2, size));
  const mapped: MappedImage = { map, threshold: 2, size, image, limits, range: undefined };
  for (const kind of artifacts) {
    const found = await threads.render(kind, mapped);
    t.ok(found.equals(await directImager.render(kind, mapped)), kind);
  }
});

t.test('the memory of pixels is used again once it is given back', async (t) => {
  const image = await photo();
  const first = await threads.decode(image, shape, limits);
  const second = await threads.decode(image, shape, limits);
  t.not(first.pixels.buffer, second.pixels.buffer, 'the first is still in use');
  first.release?.();
  await t.rejects(threads.decode(Buffer.from('no image'), shape, limits), { name: 'ImageError' });
  const third = await threads.decode(image, shape, limits);
  t.equal(third.pixels.buffer, first.pixels.buffer);
  t.strictSame([...third.pixels], [...second.pixels]);
  const tiled = { ...shape, tiling: { scale: 1, overlap: 16 } };
  t.equal((await threads.decode(image, tiled, limits)).release, undefined, 'tiles have any size');
});

t.test('errors keep their kind, and repairs are told', async (t) => {
  const jpeg = await photo();
  for (const [kind, bytes] of [
    ['unsupported', Buffer.from('no image')],
    ['damaged', jpeg.subarray(0, jpeg.length / 2)],
    ['empty', Buffer.alloc(0)],
  ] as const) {
    const error: unknown = await threads.decode(bytes, shape, limits).catch((reason: unknown) => reason);
    t.ok(error instanceof ImageError, kind);
    t.match(error, { kind });
  }
  const withoutEnd = jpeg.subarray(0, -2);
  t.match((await threads.decode(withoutEnd, shape, limits)).warnings, [/repaired/]);
});

t.test('an image waits for memory before it takes a thread', async (t) => {
  const image = await photo();
  const asked: number[] = [];
  let release = (): void => {};
  const free = new Promise<void>((resolve) => {
    release = resolve;
  });
  const admit = (pixels: number) => {
    asked.push(pixels);
    return free;
  };
  const waiting = Array.from({ length: 8 }, () => threads.decode(image, shape, { ...limits, admit }));
  // More than the threads could hold: others still end.
  t.ok(await threads.decode(image, shape, limits));
  release();
  await Promise.all(waiting);
  t.strictSame(asked, Array(8).fill(size.width * size.height));
});

t.test('an overlay of 16 megapixels leaves the event loop free', async (t) => {
  const large = { width: 4000, height: 4000 };
  const image = await sharp({ create: { ...large, channels: 3, background: '#c03020' } })
    .jpeg()
    .toBuffer();
  const mapped: MappedImage = { map, threshold: 2, size: large, image, limits, range: undefined };
  const held = async (work: () => Promise<unknown>): Promise<number> => {
    const monitor = monitorEventLoopDelay({ resolution: 1 });
    monitor.enable();
    await work();
    monitor.disable();
    return monitor.max;
  };
  await threads.render('map', mapped);
  const [here, there] = [
    await held(() => directImager.render('map', mapped)),
    await held(() => threads.render('map', mapped)),
  ];
  t.ok(there < here, `${there} ns instead of ${here}`);
});
