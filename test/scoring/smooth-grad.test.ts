/** SmoothGrad against its definition: the mean gradient over noisy copies, added up outside the graph. */
import { join } from 'node:path';
import t from 'tap';
import { modelsFolder, readDetector, servingModel } from '../../src/detector/index.js';
import { sideOf } from '../../src/imaging/index.js';
import { tensorNames } from '../../src/networks/index.js';
import { Device, float32, float32Data, type Tensors, uint8 } from '../../src/runtime/index.js';
import { smoothGradMaps } from '../../src/scoring/smooth-grad.js';
import { relativeDifference } from '../support/difference.js';
import { testProvider } from '../support/provider.js';

const { inputs, nextStateName, outputs } = tensorNames;

t.test('the map comes from the mean gradient over fifty noisy copies', async (t) => {
  const detector = await readDetector(join(modelsFolder, 'sample'));
  const size = sideOf(detector.shape.inputSize);
  const values = 3 * size * size;
  const image = detector.selfTest.images.slice(0, values);
  const device = await Device.open({ provider: testProvider });
  t.teardown(() => device.close());
  const session = await device.session(servingModel({ ...detector.shape, map: 'smoothgrad' }));

  const noise: Float32Array[] = [];
  const { map } = await smoothGradMaps(
    image,
    { width: size, height: size },
    (feeds) => {
      const part = float32Data(feeds, inputs.noise);
      for (let at = 0; at < part.length; at += values) noise.push(part.slice(at, at + values));
      return session.run(feeds, detector.feeds);
    },
    undefined,
  );
  t.equal(noise.length, 50, 'the number of copies in the paper');
  t.equal(new Set(noise.map((copy) => copy.slice(0, 3).join())).size, 50, 'each copy has its own noise');
  const all = noise.flatMap((copy) => [...copy.subarray(0, 5000)]);
  const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
  const deviation = Math.sqrt(all.reduce((sum, value) => sum + (value - mean) ** 2, 0) / all.length);
  t.ok(Math.abs(mean) < 1e-3, `noise has no bias: ${mean}`);
  t.ok(Math.abs(deviation - 0.05) < 1e-3, `noise has the deviation of the paper: ${deviation}`);

  // One copy at a time; the sum is computed here, in double precision.
  const sum = new Float64Array(values);
  for (const copy of noise) {
    const feeds: Tensors = {
      [inputs.image]: uint8([1, size, size, 3], image),
      [inputs.noise]: float32([1, 3, size, size], copy),
      [inputs.gradientSum]: float32([1, 3, size, size], new Float32Array(values)),
      [inputs.copies]: float32([], [1]),
    };
    const result = await session.run(feeds, detector.feeds);
    float32Data(result.outputs, nextStateName(inputs.gradientSum)).forEach((entry, at) => {
      sum[at] = (sum[at] as number) + entry;
    });
  }
  const plane = size * size;
  const magnitude = Float64Array.from({ length: plane }, (_, at) =>
    [0, 1, 2].reduce((total, channel) => total + Math.abs((sum[channel * plane + at] as number) / 50), 0),
  );
  const expected = Float32Array.from(smoothed(magnitude, size, (4 / 128) * size));
  const difference = relativeDifference(expected, map);
  // Rounding: 2.5e-3 were seen on a graphics card.
  const allowed = testProvider === 'cuda' ? 1e-2 : 1e-3;
  t.ok(difference < allowed, `${difference}`);
});

t.test('once nobody waits for it, no further copies are processed', async (t) => {
  const stop = new AbortController();
  const size = 32;
  let parts = 0;
  const run = async () => {
    if (++parts === 2) stop.abort(new Error('the client has gone'));
    const gradient = float32([1, 3, size, size], new Float32Array(3 * size * size));
    const map = float32([1, size, size], new Float32Array(size * size));
    return { outputs: { [nextStateName(inputs.gradientSum)]: gradient, [outputs.map]: map }, seconds: 0 };
  };
  await t.rejects(
    smoothGradMaps(new Uint8Array(3 * size * size), { width: size, height: size }, run, stop.signal),
    {
      message: 'the client has gone',
    },
  );
  t.equal(parts, 2, 'of ten');
});

/** Returns a Gaussian mean over the inside of the image, cut off after four deviations: along rows, then columns. */
function smoothed(plane: Float64Array, size: number, deviation: number): Float64Array {
  const radius = Math.round(4 * deviation);
  const along = (from: Float64Array, step: number, other: number): Float64Array => {
    const result = new Float64Array(from.length);
    for (let line = 0; line < size; line++) {
      for (let at = 0; at < size; at++) {
        let [total, weights] = [0, 0];
        for (let near = Math.max(0, at - radius); near <= Math.min(size - 1, at + radius); near++) {
          const weight = Math.exp(-0.5 * ((near - at) / deviation) ** 2);
          total += weight * (from[line * other + near * step] as number);
          weights += weight;
        }
        result[line * other + at * step] = total / weights;
      }
    }
    return result;
  };
  return along(along(plane, 1, size), size, 1);
}
