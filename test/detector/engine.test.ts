/** Runs of fixed sizes, as on CUDA: the same scores and maps, as many as there are images. */
import { join } from 'node:path';
import t from 'tap';
import { modelsFolder, readDetector, ScoringEngine } from '../../src/detector/index.js';
import { relativeDifference } from '../support/difference.js';
import { testProvider } from '../support/provider.js';

t.test('a batch that is filled up with blank images gives what it gives alone', async (t) => {
  const detector = await readDetector(join(modelsFolder, 'sample'));
  const { images, count } = detector.selfTest;
  const imageBytes = images.length / count;
  const two = images.subarray(0, 2 * imageBytes);
  for (const dedicatedSessions of [0, 1]) {
    const engines = await Promise.all(
      [[], [1, 5]].map((batchSizes) =>
        ScoringEngine.open({ provider: testProvider, dedicatedSessions, batchSizes }),
      ),
    );
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
    t.equal(
      (await engines[1]?.run(detector, seven, 'none'))?.outputs.score.length,
      7,
      'more than the largest',
    );
    await Promise.all(engines.map((engine) => engine.close()));
  }
});
