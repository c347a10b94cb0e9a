/** Batches of fixed sizes, as on CUDA: the same scores and maps for any number of images. */
import { join } from 'node:path';
import t from 'tap';
import { BatchSizes } from '../../src/batching/index.js';
import { modelsFolder, readDetector } from '../../src/detector/index.js';
import { wholeImages } from '../../src/imaging/index.js';
import { Device } from '../../src/runtime/index.js';
import { DirectInference, ScoringEngine, ScoringPipeline } from '../../src/scoring/index.js';
import { relativeDifference } from '../support/difference.js';
import { testProvider } from '../support/provider.js';

t.test('a batch padded with blank images gives the same results as without padding', async (t) => {
  const detector = await readDetector(join(modelsFolder, 'sample'));
  const { images, count } = detector.selfTest;
  const imageBytes = images.length / count;
  const two = images.subarray(0, 2 * imageBytes);
  const device = await Device.open({ provider: testProvider });
  t.teardown(() => device.close());
  for (const dedicatedSessions of [0, 1]) {
    const engines = [BatchSizes.any(16), BatchSizes.of(1, 5)].map((batchSizes) =>
      ScoringEngine.on(device, { batchSizes, dedicatedSessions }),
    ) as [ScoringEngine, ScoringEngine];
    const [alone, filledUp] = await Promise.all(
      engines.map(async (engine) => {
        await engine.warmUp(detector);
        return (await engine.run(detector, two, 'gradient')).outputs;
      }),
    );
    for (const [name, expected] of Object.entries(alone as unknown as Record<string, Float32Array>)) {
      const found = (filledUp as unknown as Record<string, Float32Array>)[name] as Float32Array;
      const difference = relativeDifference(expected, found);
      t.equal(found.length, expected.length, name);
      t.ok(difference <= 1e-4, `${name}: ${difference}`);
    }
    const seven = Buffer.concat([images, images, images]).subarray(0, 7 * imageBytes);
    const pipeline = new ScoringPipeline(new DirectInference(engines[1]));
    const all = wholeImages(seven, detector.shape.inputSize);
    const scored = await pipeline.infer(detector, all, { map: 'none' });
    t.equal(scored.images.length, 7, 'more than the largest batch');
    await t.rejects(engines[1].run(detector, seven, 'none'), /7 images in a batch; must be 1 to 5/);
    for (const engine of engines) await engine.closeSessions();
  }
});
