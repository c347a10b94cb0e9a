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
import { type LinearRecipe, linearNotes } from './linear-recipe.js';
import { measureMapScale } from './map-scale.js';
import { type FittedSpan, fitSpan } from './span-fit.js';
import { doubtfulOf, type ScaledTerms, termsOf } from './terms.js';
import { type FittedWindows, fitWindows } from './window-fit.js';

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
  const channels = windowChannels(expert.card, cloner);
  const everything = [...images.paths.keys()];
  let fitted = fitAll(recipe, features, everything, channels, images, report);
  const doubtful = doubtfulOf(fitted.scores);
  warnOfDoubtful(inputs, doubtful, fitted.scores);
  const kept = options.dropDoubtful ? everything.filter((image) => !doubtful.includes(image)) : everything;
  if (kept.length < everything.length) {
    fitted = fitAll(recipe, features, kept, channels, images, report);
  }
  const { fits, windows, terms, scores, directions } = fitted;
  const paths = kept.map((image) => images.paths[image] as string);
  const digests = kept.map((image) => features.digests[image] as Buffer);
  const tensors = tensorsOf(recipe, all, fits, windows, features);
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
    paths.slice(0, mapImages).map((path, index) => ({
      source: source(path),
      stretch: stretchOf(cloner, fits, index),
    })),
    (done, total) => report('calibrate', done, total),
  );
  for (const [name, tensor] of scaleTensors(mean, deviation)) tensors.set(name, tensor);
  const scorer = assembleScorer(shape, terms, tensors, { range: input.range });
  const few = paths.slice(0, gradientImages).map(source);
  const gradients = await measureGoodImages(pipeline, scorer, few, { smoothGrad: false });
  const parts = partsIn(images, kept);
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
    cloner: new Map([...tensors, learnedImagesTensor(digests)]),
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
      recipe: { name: 'linear', notes: [...linearNotes] },
      data: {
        images: paths.length,
        ...(images.copies > 0 ? { copies: images.copies } : {}),
        heldBack: scores.length,
        ...(images.groups ? { parts } : {}),
        fingerprint: createHash('sha256').update(Buffer.concat(digests)).digest('hex'),
      },
      distillation: { seconds: Math.round((performance.now() - began) / 100) / 10 },
      calibration: calibrated,
    },
  });
}

interface Fitted extends ScaledTerms {
  readonly fits: ReadonlyMap<string, FittedSpan>;
  readonly windows: FittedWindows;
}

/** Fits all terms on some of the images. */
function fitAll(
  { cloner }: LinearRecipe,
  features: Features,
  kept: readonly number[],
  channels: readonly number[],
  { groups }: ImageFiles,
  report: (phase: 'scale', done: number, total: number) => void,
): Fitted {
  const of = <Some>(list: readonly Some[]): Some[] => kept.map((image) => list[image] as Some);
  const parts = groups && of(groups);
  const spans = distinct([...cloner.spans, ...cloner.cells]);
  const fits = new Map<string, FittedSpan>();
  for (const [index, span] of spans.entries()) {
    report('scale', index, spans.length);
    const vectors = features.vectors.get(spanName(span)) as readonly Float32Array[];
    fits.set(spanName(span), fitSpan(of(vectors), span.components, parts));
  }
  report('scale', spans.length, spans.length);
  const windows = fitWindows(of(features.windows), channels, parts);
  return { fits, windows, ...termsOf(cloner, fits, windows) };
}

/** Names the images that the others do not explain; they may show a defect. */
function warnOfDoubtful(
  { options, images }: LinearInputs,
  doubtful: readonly number[],
  scores: readonly number[],
): void {
  const dropped = options.dropDoubtful ? 'dropped' : 'look at it; --drop-doubtful leaves it out';
  for (const [rank, image] of doubtful.entries()) {
    const score = (scores[image] as number).toPrecision(3);
    options.onWarning?.(
      `${images.paths[image]} is unlike the other good photos (score ${score}, ${rank + 1} of ${doubtful.length}): ${dropped}`,
    );
  }
}

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
