/** The service returns what was trained: the trainer's graph, the written folder and HTTP responses agree. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { trainingImages, writeSample } from '../../src/datasets/index.js';
import {
  clonerFeeds,
  embeddedExperts,
  readDetector,
  standardizationFeeds,
} from '../../src/detector/index.js';
import { TrainingSet } from '../../src/distillation/images/training-set.js';
import { distill } from '../../src/distillation/index.js';
import { neighborModel, validationModel } from '../../src/distillation/models.js';
import { planFor, recipeByName } from '../../src/distillation/recipe.js';
import { readExpertCard } from '../../src/networks/index.js';
import { Device, float32, float32Data } from '../../src/runtime/index.js';
import { ScoringEngine } from '../../src/scoring/index.js';
import { readSafetensors } from '../../src/weights/safetensors.js';
import { importSmallExpert } from '../support/experts.js';
import { testProvider } from '../support/provider.js';
import { startService } from '../support/service.js';

const small = {
  recipe: 'convolutional',
  inputSize: 32,
  epochs: 2,
  batch: 4,
  augmentTo: 0,
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

t.test("the served graph computes the same discrepancies as the trainer's graph", async (t) => {
  const out = join(t.testdir(), 'detector');
  const manifest = await distill({ ...small, dataset, out });
  const plan = planFor(recipeByName('convolutional'), await readExpertCard(embeddedExperts.vgg16));
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
  const { defect: _, ...batch } = await set.batch(indices);
  const layers = plan.trainingLayers.map(({ name }) => name);
  const trainer = await device.session(
    validationModel({
      layout: plan.layout,
      inputSize: small.inputSize,
      layers: plan.trainingLayers,
      positions: { margin: 0 },
    }),
  );
  const ones = float32(
    [layers.length],
    layers.map(() => 1),
  );
  const { outputs } = await trainer.run({
    ...batch,
    value_weights: ones,
    direction_weights: ones,
    ...standardizationFeeds(layers, tensors),
    ...clonerFeeds(plan.layout, tensors),
  });

  const detector = await readDetector(out);
  const engine = ScoringEngine.on(device);
  const images = Buffer.concat(await Promise.all(indices.map((index) => set.image(index))));
  const served = (await engine.run(detector, images, 'none')).outputs;
  const scored = manifest.scoringLayers.map((name) => layers.indexOf(name));
  for (const term of ['value', 'direction'] as const) {
    const trained = float32Data(outputs, term);
    const columns = indices.flatMap((row) => scored.map((at) => trained[row * layers.length + at] as number));
    t.ok(difference(columns, served[term]) <= 1e-4, term);
  }

  const scoredLayers = plan.trainingLayers.filter(({ name }) => manifest.scoringLayers.includes(name));
  const neighbors = await device.session(neighborModel({ inputSize: small.inputSize, layers: scoredLayers }));
  const good = Object.entries(detector.feeds).filter(([name]) => name.startsWith('neighbors.'));
  const distances = await neighbors.run(
    await set.activationsOf(indices, scoredLayers),
    Object.fromEntries(good),
  );
  const found = float32Data(distances.outputs, 'neighbor');
  t.ok(difference(found, served.neighbor as Float32Array) <= 1e-4, 'neighbor');
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
