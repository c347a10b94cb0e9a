/** From one pass of the expert over good images to a detector with a linear cloner. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import {
  assembleScorer,
  calibration,
  type LinearCloner,
  learnedImagesTensor,
  linearTensors,
  type Manifest,
  type ServingShape,
  supportedRate,
  type Terms,
  termNames,
  writeDetector,
} from '../../detector/index.js';
import { decodeNamedImage, type InputShape } from '../../imaging/index.js';
import { type ExpertCard, fingerprintOf, layersOf, type Span, spanName } from '../../networks/index.js';
import { type ConstantTensor, floatToHalf } from '../../onnx/index.js';
import type { Device } from '../../runtime/index.js';
import {
  DirectInference,
  makeSelfTest,
  measureGoodImages,
  ScoringEngine,
  ScoringPipeline,
} from '../../scoring/index.js';
import { type ExpertFile, type ImageFiles, partsIn } from '../cloner-training.js';
import type { DistillOptions, PhaseProgress } from '../settings.js';
import type { PhaseUnits, WholeRun } from '../whole-run.js';
import { computeFeatures, type Features } from './features.js';
import { measureMapScale } from './map-scale.js';
import { type FittedSpan, fitSpan, robustScale } from './span-fit.js';
import { type FittedWindows, fitWindows } from './window-fit.js';

/** The settings of a linear cloner: which layers, which grids, how many directions. */
export interface LinearRecipe {
  readonly inputSize: number;
  readonly cloner: LinearCloner;
}

/**
 * The default settings. Averages over few cells tell what a part is made of, and over more cells how it is built. Fine
 * positions and cells of the middle layers tell where it differs.
 */
export const linearRecipe: LinearRecipe = {
  inputSize: 256,
  cloner: {
    kind: 'linear',
    spans: [
      { layer: 'pool4', grid: 2, components: 256 },
      { layer: 'pool4', grid: 4, components: 256 },
      { layer: 'pool5', grid: 4, components: 256 },
    ],
    windows: { layers: ['pool3', 'pool4'] },
    cells: [
      { layer: 'pool3', grid: 16, components: 64 },
      { layer: 'pool4', grid: 4, components: 256 },
    ],
    local: { layers: ['pool2', 'pool3'], components: 256 },
  },
};

/** What a linear distillation works with. */
export interface LinearInputs {
  readonly options: DistillOptions;
  readonly recipe: LinearRecipe;
  readonly input: InputShape;
  readonly expert: ExpertFile;
  readonly images: ImageFiles;
  readonly device: Device;
  readonly whole: WholeRun;
}

/** Images that maps are measured on. */
const mapImages = 64;

/** Images that gradient maps are measured on: a gradient costs three times as much as a score. */
const gradientImages = 8;

/** Distills the detector and writes it. @throws ImageError, CalibrationError; the signal's reason. */
export async function distillLinear(inputs: LinearInputs): Promise<Manifest> {
  const { options, recipe, input, expert, images, device } = inputs;
  const { cloner, inputSize } = recipe;
  const began = performance.now();
  const report = reporter(inputs);
  const all = distinct([...cloner.spans, ...cloner.cells]);
  const spec = {
    expertCard: expert.path,
    inputSize,
    spans: all,
    windows: cloner.windows.layers,
    local: cloner.local.layers,
  };
  const features = await computeFeatures(device, spec, {
    paths: images.paths,
    input,
    onWarning: options.onWarning,
    onProgress: (done, total) => report('expert', done, total),
  });
  const fits = new Map<string, FittedSpan>();
  for (const [index, span] of all.entries()) {
    report('scale', index, all.length);
    const name = spanName(span);
    const vectors = features.vectors.get(name) as readonly Float32Array[];
    fits.set(name, fitSpan(vectors, span.components, images.groups));
  }
  report('scale', all.length, all.length);
  const windows = fitWindows(features.windows, windowChannels(expert.card, cloner), images.groups);
  const tensors = tensorsOf(recipe, all, fits, windows, features);
  const { terms, scores, directions } = termsOf(cloner, fits, windows);
  const shape: ServingShape = {
    expertCard: expert.path,
    inputSize,
    scoringLayers: termNames(cloner),
    cloner,
    positions: true,
    neighbors: false,
  };
  const engine = ScoringEngine.on(device);
  const pipeline = new ScoringPipeline(new DirectInference(engine));
  const source = (path: string) => async () => decodeNamedImage(await readFile(path), path, input);
  const unscaled = new Map([...tensors, ...scaleTensors(0, 1)]);
  const { mean, deviation, threshold } = await measureMapScale(
    pipeline,
    assembleScorer(shape, terms, unscaled, { range: input.range }),
    images.paths.slice(0, mapImages).map((path, index) => ({
      source: source(path),
      stretch: stretchOf(cloner, fits, index),
    })),
    (done, total) => report('calibrate', done, total),
  );
  for (const [name, tensor] of scaleTensors(mean, deviation)) tensors.set(name, tensor);
  const scorer = assembleScorer(shape, terms, tensors, { range: input.range });
  const few = images.paths.slice(0, gradientImages).map(source);
  const gradients = await measureGoodImages(pipeline, scorer, few, { smoothGrad: false });
  const parts = partsIn(images);
  const calibrated = calibration(
    {
      scores,
      directions,
      mapThresholds: { ...gradients.mapThresholds, discrepancy: threshold },
    },
    terms,
    supportedRate(parts, options.falseAlarmRate),
  );
  const tested = await Promise.all(few.slice(0, 2).map(async (image) => (await image()).pixels));
  const selfTest = await makeSelfTest(engine, scorer, Buffer.concat(tested), 'discrepancy');
  await engine.closeSessions();
  return writeDetector(options.out, {
    cloner: new Map([...tensors, learnedImagesTensor(features.digests)]),
    selfTest,
    manifest: {
      expert: { name: expert.card.name, fingerprint: fingerprintOf(expert.card) },
      cloner,
      inputSize,
      ...(input.range ? { range: input.range } : {}),
      trainingLayers: [...new Set(all.map(({ layer }) => layer))],
      scoringLayers: [...shape.scoringLayers],
      terms,
      localization: 'discrepancy',
      recipe: { name: 'linear', notes: [...notes] },
      data: {
        images: images.paths.length,
        ...(images.copies > 0 ? { copies: images.copies } : {}),
        heldBack: scores.length,
        ...(images.groups ? { parts } : {}),
        fingerprint: createHash('sha256')
          .update(Buffer.concat([...features.digests]))
          .digest('hex'),
      },
      distillation: { seconds: Math.round((performance.now() - began) / 100) / 10 },
      calibration: calibrated,
    },
  });
}

const notes: readonly string[] = [
  "The cloner is linear: the projection onto what the good images span, in closed form. The paper's is a network that is trained.",
  'The value discrepancy of a span is the logarithm of the squared distance that the projection leaves; the direction discrepancy is the share of the distance that it leaves, and does not count.',
  'Windows of 3 x 3 cells of pool3 and pool4 are compared wherever they are: the mean of the three highest squared distances from the mean of good images, in deviations along each direction. They count twice.',
  'The score sums the value discrepancies, each less its median and over its upper deviation on good images, each scored by all others.',
  'The threshold comes from all good images, each scored by all others: none is held back.',
  'Maps are the geometric mean of what is left at each position (pool2 and pool3) and in each cell (pool3 and pool4), smoothed (sigma 4/256 of the side), in deviations above what good images show, on one scale for all places; gradient maps are optional.',
];

function distinct<Some extends Span>(spans: readonly Some[]): Some[] {
  return [...new Map(spans.map((span) => [spanName(span), span])).values()];
}

/** Returns how much longer what is left of a good image would be if it had not been learned from, in the map. */
function stretchOf({ cells }: LinearCloner, fits: ReadonlyMap<string, FittedSpan>, image: number): number {
  const logs = cells.map((span) => Math.log(fits.get(spanName(span))?.stretch[image] ?? 1));
  // The map is the geometric mean of the cells and the positions.
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / (cells.length + 1));
}

function tensorsOf(
  { cloner }: LinearRecipe,
  spans: readonly Span[],
  fits: ReadonlyMap<string, FittedSpan>,
  windows: FittedWindows,
  { local }: Features,
): Map<string, ConstantTensor> {
  const tensors = new Map<string, ConstantTensor>();
  const add = (name: string, shape: readonly number[], data: Float32Array): void => {
    tensors.set(name, { type: 'float32', shape, data });
  };
  // Directions are most of the file, and exact enough with half the bytes.
  const addDirections = (name: string, shape: readonly number[], data: Float32Array): void => {
    tensors.set(name, { type: 'float16', shape, data: floatToHalf(data) });
  };
  for (const span of spans) {
    const { mean, basis, kept, rest } = fits.get(spanName(span)) as FittedSpan;
    add(linearTensors.mean(span), [mean.length], mean);
    addDirections(linearTensors.basis(span), [mean.length, kept.length], basis);
    add(linearTensors.kept(span), [kept.length], kept);
    add(linearTensors.rest(span), [], Float32Array.of(rest));
  }
  const { channels } = windows;
  add(linearTensors.windowMean, [channels], windows.mean);
  addDirections(linearTensors.windowWhitening, [channels, channels], windows.whitening);
  const { mean, inverseDeviation, basis, components } = local.fit(cloner.local.components);
  add(linearTensors.localMean, [mean.length], mean);
  add(linearTensors.localInverseDeviation, [mean.length], inverseDeviation);
  addDirections(linearTensors.localBasis, [components, mean.length], basis);
  return tensors;
}

function scaleTensors(mean: number, deviation: number): [string, ConstantTensor][] {
  const scalar = (value: number): ConstantTensor => ({
    type: 'float32',
    shape: [],
    data: Float32Array.of(value),
  });
  return [
    [linearTensors.mapMean, scalar(mean)],
    [linearTensors.mapDeviation, scalar(deviation)],
  ];
}

/** How much the windows count, where each span counts once. */
const windowShare = 2;

/** Puts the terms on one scale: medians and upper deviations over good images, each scored by others only. */
function termsOf(cloner: LinearCloner, fits: ReadonlyMap<string, FittedSpan>, windows: FittedWindows) {
  const { spans } = cloner;
  const fitted = spans.map((span) => fits.get(spanName(span)) as FittedSpan);
  const left = [...fitted.map(({ leftOut }) => leftOut), windows.leftOut];
  const logs = left.map((values) => Array.from(values, (value) => Math.log(Math.max(value, 1e-9))));
  const scales = logs.map(robustScale);
  const energies = windows.leftOut.map((energy) => energy / (energy + windows.channels));
  const shares = [...fitted.map(({ unexplained }) => unexplained), energies].map((values) =>
    [...values].sort((a, b) => a - b),
  );
  const weights = scales.map(({ spread }, at) => (at < spans.length ? 1 : windowShare) / spread);
  const medians = scales.map(({ median }) => median);
  const terms: Terms = {
    value: weights,
    direction: weights.map(() => 0),
    typical: {
      value: medians,
      direction: shares.map((ascending) => ascending[Math.floor(ascending.length / 2)] as number),
      peak: 0,
    },
    map: { weight: 0, layers: [] },
  };
  const scores = (logs[0] as number[]).map((_, image) =>
    logs.reduce(
      (sum, list, at) => sum + (weights[at] as number) * ((list[image] as number) - (medians[at] as number)),
      0,
    ),
  );
  const directions = Object.fromEntries(
    termNames(cloner).map((name, at) => [name, shares[at] as number[]] as const),
  );
  return { terms, scores, directions };
}

/** Returns the channels of each layer whose windows count. */
function windowChannels(card: ExpertCard, { windows }: LinearCloner): number[] {
  const layers = layersOf(card);
  return windows.layers.map((layer) => layers.find(({ name }) => name === layer)?.channels ?? 0);
}

function reporter({ options, whole, images }: LinearInputs) {
  const units: PhaseUnits = {
    expert: images.paths.length,
    scale: 4,
    calibrate: Math.min(mapImages, images.paths.length),
  };
  return (phase: PhaseProgress['phase'], done: number, total: number): void => {
    options.signal?.throwIfAborted();
    const progress = { phase, done, total };
    options.onProgress?.({ ...progress, ...whole.update(progress, 0, units) });
  };
}
