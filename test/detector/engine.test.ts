/** Runs of fixed sizes, as on CUDA: the same scores and maps, as many as there are images. */
import { join } from 'node:path';
import t from 'tap';
import { modelsFolder, readDetector, ScoringEngine } from '../../src/detector/index.js';
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
    for (const [name, expected] of Object.entries(alone ?? {})) {
      const found = (filledUp as unknown as Record<string, Float32Array>)[name];
      const most = expected.reduce((largest: number, entry: number) => Math.max(largest, Math.abs(entry)), 0);
      t.equal(found?.length, expected.length, name);
      const worst = expected.reduce(
        (largest: number, entry: number, at: number) =>
          Math.max(largest, Math.abs(entry - (found?.[at] as number))),
        0,
      );
      t.ok(worst <= 1e-4 * most, `${name}: ${worst} of ${most}`);
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
