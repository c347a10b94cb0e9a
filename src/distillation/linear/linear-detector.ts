/** From one pass of the expert over good images to a detector with a linear cloner. */
import { rm, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  assembleScorer,
  calibration,
  type LinearCloner,
  learnedTensors,
  linearTensors,
  type Manifest,
  regionTensor,
  type Scorer,
  type ServingShape,
  spansOf,
  supportedRate,
  termNames,
  writeDetector,
} from '../../detector/index.js';
import { significant } from '../../files/decimals.js';
import { contactSheet, forSheet, shareInside, tilePixels } from '../../imaging/index.js';
import { fingerprintOf, type Span, spanName } from '../../networks/index.js';
import { type ConstantTensor, floatToHalf } from '../../onnx/index.js';
import {
  DirectInference,
  makeSelfTest,
  measureGoodImages,
  ScoringEngine,
  ScoringPipeline,
} from '../../scoring/index.js';
import { fingerprintOfData } from '../images/training-set.js';
import type { PhaseProgress } from '../settings.js';
import type { PhaseUnits } from '../whole-run.js';
import { computeFeatures, type FeatureSpec, type Features, spread } from './features.js';
import { type Fitted, fitWithoutDoubtful, type GoodPhoto, groupsOf, type LinearInputs } from './fit.js';
import { linearNotes } from './linear-recipe.js';
import { measureMapScale, plainScale } from './map-scale.js';
import { PhotoKeeper } from './photos.js';
import type { FittedSpan } from './span-fit.js';
import { measureTurning, photosToTurn, turnedAlike } from './turning.js';
import type { FittedWindows } from './window-fit.js';

/** Images that maps are measured on. */
const mapImages = 32;

/** Images that gradient maps are measured on: a gradient costs three times as much as a score. */
const gradientImages = 4;

/**
 * Distills the detector and writes it, and keeps the photos beside it. The order of the photos does not matter.
 * @throws ImageError, CalibrationError; the signal's reason.
 */
export async function distillLinear(given: LinearInputs): Promise<Manifest> {
  const ordered = [...given.photos].sort((a, b) => Buffer.compare(a.sha256, b.sha256));
  const inputs: LinearInputs = { ...given, photos: ordered };
  const { options, cloner, input, expert, device } = inputs;
  const began = performance.now();
  const report = reporter(inputs);
  const keeper = options.keepPhotos === false ? undefined : await PhotoKeeper.open(options.out);
  try {
    const features = await computeFeatures(device, featuresOf(inputs), {
      photos: ordered,
      ...(keeper ? { onPhoto: (image) => keeper.add(image) } : {}),
      onProgress: (done, total) => report('expert', done, total),
    });
    const { kept, doubtful, ...fitted } = await fitWithoutDoubtful(inputs, features, report);
    const photos = kept.map((image) => ordered[image] as GoodPhoto);
    const engine = ScoringEngine.on(device);
    const scaled = await scaledScorer(inputs, engine, features, fitted, photos, report);
    const { shape, tensors, scorer, ...measured } = scaled;
    const groups = groupsOf(photos);
    const parts = groups ? new Set(groups).size : photos.length;
    const calibrated = calibration(
      { scores: fitted.scores, directions: fitted.directions, mapThresholds: measured.mapThresholds },
      fitted.terms,
      supportedRate(parts, options.falseAlarmRate),
    );
    const selfTest = await makeSelfTest(engine, scorer, measured.tested, 'discrepancy');
    await engine.closeSessions();
    const digests = photos.map(({ sha256 }) => sha256);
    const fingerprint = fingerprintOfData(digests);
    const learned = kept.map((image) => ({
      sha256: (ordered[image] as GoodPhoto).sha256,
      thumbnail: features.thumbnails[image] as Uint8Array,
    }));
    const manifest = await writeDetector(options.out, {
      cloner: new Map([...tensors, ...learnedTensors(learned)]),
      selfTest,
      manifest: {
        expert: { name: expert.card.name, fingerprint: fingerprintOf(expert.card) },
        cloner,
        inputSize: input.inputSize,
        ...(input.tiling ? { tiling: input.tiling } : {}),
        ...(input.range ? { range: input.range } : {}),
        ...(input.fit && input.fit !== 'stretch' ? { fit: input.fit } : {}),
        ...(input.region ? { regionOfInterest: { share: significant(shareInside(input.region), 3) } } : {}),
        trainingLayers: [...new Set(spansOf(cloner).map(({ layer }) => layer))],
        scoringLayers: [...shape.scoringLayers],
        terms: fitted.terms,
        localization: 'discrepancy',
        recipe: { name: 'linear', notes: [...linearNotes] },
        data: {
          images: photos.length,
          ...(inputs.copies > 0 ? { copies: inputs.copies } : {}),
          heldBack: fitted.scores.length,
          ...(groups ? { parts } : {}),
          fingerprint,
        },
        distillation: { seconds: Math.round((performance.now() - began) / 100) / 10 },
        calibration: calibrated,
      },
    });
    await showDoubtful(inputs, doubtful);
    // What was dropped does not come back when photos are added.
    await keeper?.finish({ fingerprint, groupBy: options.groupBy, photos }, kept);
    return manifest;
  } finally {
    await keeper?.discard();
  }
}

/** Most photos on one sheet. */
const mostShown = 48;

/** Draws the doubtful photos side by side, beside the detector. */
async function showDoubtful({ options, photos }: LinearInputs, doubtful: readonly number[]): Promise<void> {
  const path = `${resolve(options.out)}.doubtful.png`;
  if (doubtful.length === 0) return rm(path, { force: true });
  const shown = await Promise.all(
    doubtful.slice(0, mostShown).map(async (image) => {
      const { grid, pixels } = await (photos[image] as GoodPhoto).read();
      return { png: await forSheet({ width: grid.width, height: grid.height, pixels }), frame: '#ffffff' };
    }),
  );
  await writeFile(path, await contactSheet(shown));
  options.onWarning?.(`doubtful photos, the most doubtful first: ${path}`, 'doubtful');
}

function featuresOf({ cloner, expert, input }: LinearInputs): FeatureSpec {
  return {
    expertCard: expert.path,
    inputSize: input.inputSize,
    spans: spansOf(cloner),
    windows: cloner.windows.layers,
    local: cloner.local.layers,
  };
}

/** Assembles the detector's scorer, and measures its maps on good images. */
async function scaledScorer(
  inputs: LinearInputs,
  engine: ScoringEngine,
  features: Features,
  { fits, windows, terms, imageOf }: Fitted,
  photos: readonly GoodPhoto[],
  report: ReturnType<typeof reporter>,
) {
  const { cloner, input, expert } = inputs;
  const { inputSize } = input;
  const cells = cloner.cells.length;
  const tensors = tensorsOf(cloner, fits, windows, features);
  if (input.region) tensors.set(...regionTensor(input.region));
  const shape: ServingShape = {
    expertCard: expert.path,
    inputSize,
    scoringLayers: termNames(cloner),
    cloner,
  };
  const pipeline = new ScoringPipeline(new DirectInference(engine));
  const rowsOf = (image: number): number[] => [...imageOf.keys()].filter((row) => imageOf[row] === image);
  const unscaled = new Map([...tensors, ...scaleTensors(...plainScale)]);
  const { mean, deviation, threshold } = await measureMapScale(
    pipeline,
    assembleScorer(shape, terms, unscaled, input),
    spread(photos.length, mapImages).map((index) => ({
      source: (photos[index] as GoodPhoto).read,
      // The map is the geometric mean of the cells and the positions.
      stretch: meanStretch(cloner.cells, fits, rowsOf(index)) ** (cells / (cells + 1)),
    })),
    (done, total) => report('calibrate', done, total),
  );
  for (const [name, tensor] of scaleTensors(mean, deviation)) tensors.set(name, tensor);
  const scorer = assembleScorer(shape, terms, tensors, input);
  await hintAtTurning(inputs, pipeline, scorer, fits, photos, rowsOf);
  const few = spread(photos.length, gradientImages).map((index) => (photos[index] as GoodPhoto).read);
  const gradients = await measureGoodImages(pipeline, scorer, few, { smoothGrad: false });
  const longer = meanStretch(cloner.spans, fits, spread(photos.length, gradientImages).flatMap(rowsOf));
  const tested = await Promise.all(few.slice(0, 2).map(async (image) => tilePixels(await image(), 0)));
  return {
    shape,
    tensors,
    scorer,
    mapThresholds: {
      gradient: longer * gradients.mapThresholds.gradient,
      guided: longer * gradients.mapThresholds.guided,
      smoothgrad: longer * gradients.mapThresholds.smoothgrad,
      discrepancy: threshold,
    },
    tested: Buffer.concat(tested),
  };
}

/** Warns if the parts lie in any orientation. */
async function hintAtTurning(
  { cloner, options }: LinearInputs,
  pipeline: ScoringPipeline,
  scorer: Scorer,
  fits: Fitted['fits'],
  photos: readonly GoodPhoto[],
  rowsOf: (image: number) => number[],
): Promise<void> {
  const turned = spread(photos.length, photosToTurn).map((image) => {
    const [row] = rowsOf(image) as [number];
    const { read } = photos[image] as GoodPhoto;
    const residuals = cloner.spans.map((span) => fits.get(spanName(span))?.leftOut[row] as number);
    return { read, leftOut: residuals.map(Math.log) };
  });
  const ratio = await measureTurning(pipeline, scorer, turned);
  if (ratio === undefined || ratio >= turnedAlike) return;
  options.onWarning?.(
    'the parts seem to lie in any orientation: turned by 90 and 180 degrees, the photos are hardly more unusual than as they are. ' +
      'Take photos in many orientations, or turn the parts one way before they are scored; turned copies are not made, they do not help',
  );
}

/**
 * Returns how much longer what spans leave of good images would be if they had not been learned from: the geometric mean.
 * @param rows that show the images.
 */
function meanStretch(
  spans: readonly Span[],
  fits: ReadonlyMap<string, FittedSpan>,
  rows: readonly number[],
): number {
  const logs = spans.flatMap((span) =>
    rows.map((row) => Math.log(fits.get(spanName(span))?.stretch[row] ?? 1)),
  );
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
}

function tensorsOf(
  cloner: LinearCloner,
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
  for (const span of spansOf(cloner)) {
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

function reporter({ options, whole, photos }: LinearInputs) {
  const units: PhaseUnits = {
    expert: photos.length,
    scale: 4,
    calibrate: Math.min(mapImages, photos.length),
  };
  return (phase: PhaseProgress['phase'], done: number, total: number): void => {
    options.signal?.throwIfAborted();
    const progress = { phase, done, total };
    options.onProgress?.({ ...progress, ...whole.update(progress, 0, units) });
  };
}
