/** The pipeline: which events it sends to observers, and that all callers get the same result. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { modelsFolder, readDetector, type UnverifiedDetector } from '../../src/detector/index.js';
import { DriftMonitor, Metrics, Statistics } from '../../src/observability/index.js';
import {
  DirectInference,
  defaultQueueLimits,
  InferenceQueue,
  methodFor,
  observers,
  ScoringEngine,
  type ScoringObserver,
  ScoringPipeline,
  type StageEnded,
} from '../../src/scoring/index.js';
import { testProvider } from '../support/provider.js';

const example = (name: string): Promise<Buffer> =>
  readFile(new URL(`../../../examples/${name}`, import.meta.url));

let engine: ScoringEngine;
let detector: UnverifiedDetector;
t.before(async () => {
  engine = await ScoringEngine.open({ provider: testProvider });
  detector = await readDetector(join(modelsFolder, 'sample'));
});
t.teardown(() => engine.close());

/** Records all events. */
function recorder() {
  const began: string[] = [];
  const ended: StageEnded[] = [];
  const observer: ScoringObserver = {
    began: ({ stage }) => began.push(stage),
    ended: (stage) => ended.push(stage),
  };
  return { observer, began, ended };
}

const metricsOf = (): Metrics =>
  new Metrics({
    ready: () => true,
    provider: () => 'cpu',
    queuedImages: () => 0,
    inFlight: () => ({ images: 0, bytes: 0, pixels: 0 }),
    repository: () => ({ size: 1, loaded: 1, refused: 0, unverified: 0 }),
    drift: () => [],
  });

t.test('observers see the beginning and the end of each stage, with its image', async (t) => {
  const { observer, began, ended } = recorder();
  const pipeline = new ScoringPipeline(new DirectInference(engine), { observer });
  const image = await example('defect-1.png');
  const request = {};
  const job = { detector, name: 'flange', image, request };
  const map = methodFor(detector);
  const scored = await pipeline.score(job, { map });
  t.strictSame(began, ['image', 'decode', 'inference', 'batch']);
  t.strictSame(
    ended.map(({ stage }) => stage),
    ['decode', 'batch', 'inference', 'image'],
    'the inner stages end first',
  );
  for (const stage of ended) {
    t.ok(stage.seconds > 0, stage.stage);
    t.match('image' in stage ? stage.image : stage, { name: 'flange', detector });
    if ('image' in stage) {
      t.match(stage.image, { purpose: 'score', bytes: image.length });
      t.equal(stage.image.request, request);
    }
  }
  const [, batch, inference, whole] = ended;
  t.match(batch, { images: 1, map: map });
  t.match(inference, { tiles: 1, map: map });
  t.match(whole, { outcome: { scored: { verdict: 'anomalous', score: scored.score } } });

  ended.length = 0;
  began.length = 0;
  const localization = await pipeline.localize(job, map);
  await pipeline.render(job, localization, 'heatmap');
  t.strictSame(began, ['decode', 'inference', 'batch', 'render']);
  t.match(ended.at(-1), { stage: 'render', artifact: 'heatmap', image: { purpose: 'map' } });
});

t.test('observers see failed images with their errors', async (t) => {
  const { observer, began, ended } = recorder();
  const pipeline = new ScoringPipeline(new DirectInference(engine), { observer });
  await t.rejects(pipeline.score({ detector, image: Buffer.from('text') }), { name: 'ImageError' });
  t.strictSame(began, ['image', 'decode']);
  t.match(ended, [{ stage: 'image', outcome: { error: { name: 'ImageError' } } }]);
  began.length = 0;
  const paper = await readDetector(join(modelsFolder, 'sample-paper'));
  const image = await example('good-1.png');
  await t.rejects(pipeline.score({ detector: paper, image }, { map: 'discrepancy' }), {
    name: 'UnknownMapError',
    message: /no map by 'discrepancy'; available: gradient, smoothgrad, guided/,
  });
  t.strictSame(began, [], 'a rejected request begins no stage');
});

t.test('metrics, statistics and drift are observers like any other', async (t) => {
  const { observer, ended } = recorder();
  const metrics = metricsOf();
  const statistics = new Statistics();
  const pipeline = new ScoringPipeline(new DirectInference(engine), {
    observer: observers(metrics, statistics, new DriftMonitor(), observer),
  });
  t.match(statistics.of('flange', detector.version), { inferences: 0, executions: 0 });
  t.strictSame(statistics.all(), [], 'reading counts nothing');

  const job = { detector, name: 'flange' };
  const scored = await pipeline.score({ ...job, image: await example('defect-1.png') });
  await pipeline.score({ ...job, image: await example('good-1.png') });
  await t.rejects(pipeline.score({ ...job, image: Buffer.from('text') }));
  const localization = await pipeline.localize(
    { ...job, image: await example('good-1.png') },
    methodFor(detector),
  );
  await pipeline.render({ ...job, image: await example('good-1.png') }, localization, 'mask');

  const [known] = statistics.all();
  t.match(known, {
    name: 'flange',
    version: detector.version,
    inferences: 2,
    executions: 3,
    success: { count: 2 },
    fail: { count: 1 },
    decode: { count: 2 },
    queue: { count: 2 },
  });
  t.strictSame([...(known?.batches.keys() ?? [])], [1]);
  t.equal(known?.batches.get(1)?.count, 3);
  const total = ended.flatMap(({ stage, seconds }) => (stage === 'batch' ? [seconds] : []));
  t.equal(
    known?.inference.ns,
    total.reduce((sum, seconds) => sum + Math.round(seconds * 1e9), 0),
    'for the same batches that other observers see',
  );
  t.equal(known?.inference.count, total.length);

  const text = await metrics.registry.metrics();
  const lines = [
    'mkd_verdicts_total{detector="flange",verdict="anomalous"} 1',
    'mkd_verdicts_total{detector="flange",verdict="good"} 1',
    'mkd_decode_seconds_count 3',
    'mkd_queue_seconds_count 3',
    'mkd_batch_images_count 3',
    'mkd_render_seconds_count{artifact="mask"} 1',
  ];
  for (const line of lines) t.ok(text.includes(`${line}\n`), line);
  const ratio = scored.score / detector.manifest.calibration.threshold;
  t.ok(ratio > 1, 'the score is compared with the threshold');

  statistics.forget('flange');
  await metrics.forget('flange');
  t.strictSame(statistics.all(), []);
  t.notMatch(await metrics.registry.metrics(), /"flange"/);
});

t.test('the queue gives each image the same result as alone, for all kinds of map', async (t) => {
  const queue = new InferenceQueue(engine, { ...defaultQueueLimits, maxQueueDelayMs: 20 });
  t.teardown(() => queue.close());
  const alone = new ScoringPipeline(new DirectInference(engine));
  const together = new ScoringPipeline(queue);
  const names = ['good-1.png', 'defect-1.png', 'good-2.png', 'defect-2.png', 'defect-3.png'];
  const map = methodFor(detector);
  const queued = await Promise.all(
    names.map(async (name, at) =>
      together.score({ detector, image: await example(name) }, at % 2 === 0 ? { map } : {}),
    ),
  );
  for (const [at, name] of names.entries()) {
    const expected = await alone.score({ detector, image: await example(name) }, { map });
    const found = queued[at] as (typeof queued)[number];
    t.ok(Math.abs(found.score - expected.score) < 1e-3, name);
    t.equal(found.verdict, expected.verdict, name);
    t.equal(found.localization !== undefined, at % 2 === 0, `${name} has the map that was asked for`);
    if (found.localization && expected.localization) {
      t.strictSame(
        (await found.localization.regions()).map(({ box }) => box),
        (await expected.localization.regions()).map(({ box }) => box),
      );
    }
  }
});
