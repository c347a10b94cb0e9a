/** Windows of good images: energies by other images, exactly those of the covariance without them. */
import t from 'tap';
import { Products } from '../../src/distillation/linear/products.js';
import { fitWindows } from '../../src/distillation/linear/window-fit.js';
import { normal, randomStream } from '../../src/random/random.js';
import { Device } from '../../src/runtime/index.js';

const device = await Device.open({ provider: 'cpu', threads: 1 });
const products = await Products.open(device);
t.teardown(() => device.close());

const channels = [2, 3];
const size = 5;
const windows = 9;

/** Windows whose channels depend on each other. */
function image(seed: number): Float32Array {
  const random = randomStream(seed, 'windows');
  return Float32Array.from(
    Array.from({ length: windows }, () => {
      const common = normal(random);
      return Array.from({ length: size }, (_, at) => 3 + at * common + normal(random));
    }).flat(),
  );
}

function energies(of: Float32Array, mean: Float32Array, whitening: Float32Array): number[] {
  return Array.from({ length: of.length / size }, (_, window) => {
    const y = Array.from(
      { length: size },
      (_, at) => (of[window * size + at] as number) - (mean[at] as number),
    );
    return Array.from({ length: size }, (_, row) =>
      y.reduce((sum, value, column) => sum + (whitening[row * size + column] as number) * value, 0),
    ).reduce((sum, value) => sum + value * value, 0);
  });
}

t.test('good windows have an energy of about 1 for each channel', async (t) => {
  const images = Array.from({ length: 40 }, (_, seed) => image(seed));
  const { mean, whitening } = await fitWindows(products, images, channels);
  const all = images.flatMap((of) => energies(of, mean, whitening));
  const typical = all.reduce((sum, energy) => sum + energy, 0) / all.length;
  t.ok(Math.abs(typical - size) < 0.1, `${typical}`);
});

t.test('an image is scored by the windows of other images, the mean of its three highest', async (t) => {
  const images = Array.from({ length: 20 }, (_, seed) => image(seed));
  for (const [count, without, name] of [
    [8, (index: number) => index === 1, 'few are left out one by one'],
    [20, (index: number) => index % 4 === 1, 'of more a quarter is left out at once'],
  ] as const) {
    const { leftOut } = await fitWindows(products, images.slice(0, count), channels);
    const others = images.filter((_, index) => index < count && !without(index));
    const { mean, whitening } = await fitWindows(products, others, channels);
    const highest = energies(images[1] as Float32Array, mean, whitening)
      .sort((a, b) => b - a)
      .slice(0, 3);
    const expected = highest.reduce((sum, energy) => sum + energy, 0) / 3;
    const [, found = Number.NaN] = leftOut;
    // Layers are scaled by all images: the scales differ a little, and with them the ridge.
    t.ok(Math.abs(found / expected - 1) < 1e-2, `${name}: ${found} and ${expected}`);
  }
});

t.test('the order of few images does not matter, whatever the numbers of their parts', async (t) => {
  const images = Array.from({ length: 10 }, (_, seed) => image(seed));
  const parts = [0, 0, 7, 7, 2, 2, 9, 9, 4, 4];
  const { leftOut } = await fitWindows(products, images, channels, parts);
  const turned = await fitWindows(products, [...images].reverse(), channels, [...parts].reverse());
  for (const [index, energy] of [...turned.leftOut].reverse().entries()) {
    t.ok(Math.abs(energy / (leftOut[index] as number) - 1) < 1e-5, `image ${index}`);
  }
});
