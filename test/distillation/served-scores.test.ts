/** The service returns what was trained: the trainer's graph, the written folder and HTTP responses agree. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { trainingImages, writeSample } from '../../src/datasets/index.js';
import { clonerFeeds, embeddedExperts, readDetector } from '../../src/detector/index.js';
import { TrainingSet } from '../../src/distillation/images/training-set.js';
import { distill } from '../../src/distillation/index.js';
import { validationModel } from '../../src/distillation/models.js';
import { paperRecipe, planFor } from '../../src/distillation/recipe.js';
import { readExpertCard } from '../../src/networks/index.js';
import { Device, float32, float32Data } from '../../src/runtime/index.js';
import { ScoringEngine } from '../../src/scoring/index.js';
import { readSafetensors } from '../../src/weights/safetensors.js';
import { importSmallExpert } from '../support/experts.js';
import { testProvider } from '../support/provider.js';
import { startService } from '../support/service.js';

const small = {
  recipe: 'paper',
  inputSize: 32,
  epochs: 2,
  batch: 4,
  device: { provider: testProvider, threads: 1 },
} as const;

let dataset: string;
t.before(async () => {
  dataset = t.testdir();
  await writeSample(dataset, { seed: 3, train: 14, good: 1, defective: 1 });
});

/** Returns the largest difference between two lists, relative to the larger entry, at least 1. */
function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length || a.length === 0) return Number.POSITIVE_INFINITY;
  const each = Array.from(a, (entry, at) => {
    const other = b[at] as number;
    return Math.abs(entry - other) / Math.max(1, Math.abs(entry), Math.abs(other));
  });
  return Math.max(...each);
}

t.test("the served graph computes the same scores as the trainer's graph", async (t) => {
  const out = join(t.testdir(), 'detector');
  const { scoringLayers, lambda = Number.NaN } = await distill({ ...small, dataset, out });
  const plan = planFor(paperRecipe, await readExpertCard(embeddedExperts.vgg16));
  const tensors = readSafetensors(await readFile(join(out, 'cloner.safetensors')));
  const device = await Device.open(small.device);
  t.teardown(() => device.close());

  const set = await TrainingSet.prepare(device, {
    paths: await trainingImages(dataset),
    input: { inputSize: small.inputSize, tiling: undefined },
    layers: plan.trainingLayers,
    expertCard: embeddedExperts.vgg16,
    memoryBytes: 2 ** 28,
  });
  t.teardown(() => set.close());
  const indices = Array.from({ length: set.count }, (_, index) => index);
  const { layout, trainingLayers: layers } = plan;
  const trainer = await device.session(validationModel({ layout, inputSize: small.inputSize, layers }));
  // The score is the loss over the layers that are scored.
  const weights = (weight: number) =>
    float32(
      [layers.length],
      layers.map(({ name }) => (scoringLayers.includes(name) ? weight : 0)),
    );
  const { outputs } = await trainer.run({
    ...(await set.batch(indices)),
    value_weights: weights(lambda),
    direction_weights: weights(1),
    ...clonerFeeds(layout, tensors),
  });

  const engine = ScoringEngine.on(device);
  const detector = await readDetector(out);
  const served: number[] = [];
  for (const index of indices) {
    served.push(...(await engine.run(detector, await set.image(index), 'none')).outputs.score);
  }
  t.ok(difference(float32Data(outputs, 'loss'), served) <= 1e-4);
});

t.test('scores over HTTP equal the calibration scores, also with tiles', async (t) => {
  const folder = t.testdir({ detectors: {} });
  const detectors = join(folder, 'detectors');
  const expert = await importSmallExpert(folder);
  const settings = { ...small, dataset, expertCard: expert.card };
  const whole = await distill({ ...settings, out: join(detectors, 'whole') });
  const tiled = await distill({ ...settings, out: join(detectors, 'tiled'), tileScale: 0.25 });
  const service = await startService({ detectors, experts: [expert.folder], app: { logger: false } });
  t.teardown(() => service.stop());
  const paths = await trainingImages(dataset);
  for (const [name, { calibration }] of Object.entries({ whole, tiled })) {
    const answers: { score: number; pValue: number }[] = [];
    for (const path of paths) {
      const body = new FormData();
      body.append('image', new Blob([await readFile(path)]), 'part.png');
      const url = `${service.address}/v1/detectors/${name}/score`;
      const answer = await fetch(url, { method: 'POST', body });
      t.equal(answer.status, 200);
      const { results } = (await answer.json()) as { results: { score: number; pValue: number }[] };
      answers.push(results[0] as { score: number; pValue: number });
    }
    for (const calibrated of calibration.scores) {
      const nearest = Math.min(...answers.map(({ score }) => difference([score], [calibrated])));
      t.ok(nearest <= 1e-4, `${name}: ${calibrated} was returned, within ${nearest}`);
    }
  }
});
