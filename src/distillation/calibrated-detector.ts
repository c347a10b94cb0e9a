/** From a trained cloner to a detector: terms on one scale, a threshold from images held back, and the folder. */
import { readFile } from 'node:fs/promises';
import {
  assembleScorer,
  calibration,
  type GoodImages,
  learnedTensors,
  type Manifest,
  type Scorer,
  supportedRate,
  writeDetector,
} from '../detector/index.js';
import { decodeNamedImage } from '../imaging/index.js';
import { type CriticalLayer, fingerprintOf } from '../networks/index.js';
import type { ConstantTensor } from '../onnx/index.js';
import {
  DirectInference,
  makeSelfTest,
  measureGoodImages,
  ScoringEngine,
  ScoringPipeline,
} from '../scoring/index.js';
import {
  type DistillationInputs,
  inputOf,
  partsIn,
  scaleImages,
  type TrainedCloner,
} from './cloner-training.js';
import { findNeighbors } from './neighbors.js';
import { notesOf } from './notes.js';
import type { PhaseProgress } from './settings.js';
import { type ScaledTerms, scaledTerms } from './term-scales.js';

/** Results of the folds' cloners, each on the images it was not trained on. */
export interface CrossFitted {
  readonly good: GoodImages;
  readonly heldBackLoss: number;
  readonly folds: number;
}

/** The new detector, without its threshold. */
interface ScaledScorer {
  readonly scorer: Scorer;
  readonly terms: ScaledTerms['terms'];
  readonly tensors: Map<string, ConstantTensor>;
}

/** Measures the images that a cloner was not trained on. */
export async function measureHeldBack(
  common: DistillationInputs,
  trained: TrainedCloner,
): Promise<GoodImages> {
  const engine = ScoringEngine.on(common.device);
  const pipeline = new ScoringPipeline(new DirectInference(engine));
  const { scorer } = await scaledScorer(common, pipeline, trained);
  const good = await heldBackImages(common, pipeline, scorer, trained);
  await engine.closeSessions();
  return good;
}

/**
 * Calibrates a detector and writes its folder.
 * @param crossFitted used instead of images held back.
 */
export async function writeCalibratedDetector(
  common: DistillationInputs,
  trained: TrainedCloner,
  crossFitted: CrossFitted | undefined,
): Promise<Manifest> {
  const { options, plan, expert, images, device } = common;
  const { curriculum, set } = trained;
  const engine = ScoringEngine.on(device);
  const pipeline = new ScoringPipeline(new DirectInference(engine));
  const { scorer, terms, tensors } = await scaledScorer(common, pipeline, trained);
  const good = crossFitted?.good ?? (await heldBackImages(common, pipeline, scorer, trained));
  const calibrating = crossFitted ? undefined : curriculum.heldBackFiles;
  const rate = supportedRate(partsIn(images, calibrating), options.falseAlarmRate);
  const calibrated = calibration(good, terms, rate);
  const tested = await pixelsOf(trained, (crossFitted ? curriculum.good : curriculum.heldBack).slice(0, 2));
  const selfTest = await makeSelfTest(engine, scorer, tested, plan.localization);
  await engine.closeSessions();
  const learned = set.files.filter((_, file) => !curriculum.heldBackFiles.includes(file));
  return writeDetector(options.out, {
    cloner: new Map([...tensors, ...learnedTensors(learned)]),
    selfTest,
    manifest: {
      expert: { name: expert.card.name, fingerprint: fingerprintOf(expert.card) },
      cloner: { kind: 'convolutional', layout: plan.layout },
      inputSize: plan.inputSize,
      ...(plan.tiling ? { tiling: plan.tiling } : {}),
      ...(plan.range ? { range: plan.range } : {}),
      trainingLayers: plan.trainingLayers.map(({ name }) => name),
      scoringLayers: [...plan.scoringLayers],
      lambda: plan.lambda,
      terms,
      localization: plan.localization,
      recipe: {
        name: plan.name,
        notes: notesOf(plan, expert.card, curriculum),
        epochs: curriculum.epochs,
        batch: plan.batch,
        learningRate: plan.learningRate,
        average: plan.average,
        augmentTo: plan.augmentation?.minImages ?? 0,
        seed: options.seed ?? 0,
      },
      data: {
        images: images.paths.length,
        ...(images.copies > 0 ? { copies: images.copies } : {}),
        heldBack: calibrated.scores.length,
        ...(crossFitted ? { folds: crossFitted.folds } : {}),
        ...(images.groups ? { parts: partsIn(images) } : {}),
        fingerprint: set.fingerprint,
      },
      distillation: {
        steps: trained.steps,
        seconds: trained.seconds,
        loss: trained.loss,
        heldBackLoss: crossFitted?.heldBackLoss ?? (trained.heldBackLoss as number),
      },
      calibration: calibrated,
    },
  });
}

async function scaledScorer(
  { device, plan, expert, options }: DistillationInputs,
  pipeline: ScoringPipeline,
  trained: TrainedCloner,
): Promise<ScaledScorer> {
  const { layout, inputSize, scoringLayers, positions } = plan;
  const { curriculum, set } = trained;
  const typical = curriculum.good.slice(0, scaleImages);
  const layers = plan.trainingLayers.filter(({ name }) => scoringLayers.includes(name));
  const report = (phase: PhaseProgress['phase']) => progressOf(trained, options.signal, phase);
  const neighbors =
    positions &&
    (await findNeighbors(device, set, curriculum, { inputSize, layers }, typical, report('neighbors')));
  const shape = {
    expertCard: expert.path,
    cloner: { kind: 'convolutional', layout } as const,
    inputSize,
    scoringLayers,
    positions: positions !== undefined,
    neighbors: neighbors !== undefined,
  };
  const known = new Map([...trained.tensors, ...(neighbors?.tensors ?? [])]);
  const scaled: ScaledTerms = positions
    ? await scaledTerms(
        pipeline,
        shape,
        positions.shares,
        known,
        await pixelsOf(trained, typical),
        neighbors?.discrepancies,
        report('scale'),
      )
    : { terms: paperTerms(scoringLayers, plan.lambda), tensors: new Map() };
  const tensors = new Map([...known, ...scaled.tensors]);
  return { scorer: assembleScorer(shape, scaled.terms, tensors, plan), terms: scaled.terms, tensors };
}

function heldBackImages(
  { images, plan, options }: DistillationInputs,
  pipeline: ScoringPipeline,
  scorer: Scorer,
  trained: TrainedCloner,
): Promise<GoodImages> {
  const heldBack = trained.curriculum.heldBackFiles.map((file) => async () => {
    const path = images.paths[file] as string;
    return decodeNamedImage(await readFile(path), path, inputOf(plan));
  });
  const onProgress = progressOf(trained, options.signal, 'calibrate');
  return measureGoodImages(pipeline, scorer, heldBack, { onProgress });
}

/** Reports a phase, and stops it when the run is aborted. */
function progressOf(
  { report }: TrainedCloner,
  signal: AbortSignal | undefined,
  phase: PhaseProgress['phase'],
) {
  return (done: number, total: number): void => {
    report({ phase, done, total });
    signal?.throwIfAborted();
  };
}

/** Returns the paper's terms: directions, and values times lambda. */
function paperTerms(layers: readonly CriticalLayer[], lambda: number): ScaledTerms['terms'] {
  const zeros = layers.map(() => 0);
  const typical = { value: zeros, direction: zeros, peak: 0 };
  return { value: layers.map(() => lambda), direction: layers.map(() => 1), typical };
}

async function pixelsOf({ set }: TrainedCloner, indices: readonly number[]): Promise<Uint8Array> {
  return Buffer.concat(await Promise.all(indices.map((index) => set.image(index))));
}
