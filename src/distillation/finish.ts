/** The end of a distillation: terms brought to one scale, a threshold from images held back, and the folder. */
import { readFile } from 'node:fs/promises';
import {
  assembleScorer,
  calibration,
  type GoodImages,
  learnedImagesTensor,
  type Manifest,
  type ManifestDraft,
  makeSelfTest,
  measureGoodImages,
  type ScaledTerms,
  type Scorer,
  ScoringEngine,
  scaledTerms,
  writeDetector,
} from '../detector/index.js';
import { decodeNamedImage, type InputShape } from '../imaging/index.js';
import { type CriticalLayer, type ExpertCard, fingerprintOf } from '../networks/index.js';
import type { ConstantTensor } from '../onnx/index.js';
import type { Device } from '../runtime/index.js';
import type { Curriculum } from './curriculum.js';
import type { Lesson } from './lesson.js';
import { findNeighbors } from './neighbors.js';
import { notesOf } from './notes.js';
import type { Plan } from './recipe.js';
import type { DistillOptions, DistillProgress } from './settings.js';

/** Good images on disk. */
export interface ImageFiles {
  /** Of files with the same contents the first. */
  readonly paths: readonly string[];
  /** Files left out because they are copies. */
  readonly copies: number;
}

export interface ExpertFile {
  /** Of its card. */
  readonly path: string;
  readonly card: ExpertCard;
}

/** What training leaves behind: the cloner, and how it went. */
export type TrainingOutcome = Manifest['distillation'] & { readonly cloner: Map<string, ConstantTensor> };

/** What the cloners of the folds found, each on the images it had not learned from. */
export interface CrossFitted {
  readonly good: GoodImages;
  readonly folds: number;
}

export interface Finish {
  readonly options: DistillOptions;
  readonly plan: Plan;
  readonly expert: ExpertFile;
  readonly images: ImageFiles;
  readonly curriculum: Curriculum;
  readonly lesson: Lesson;
  /** The cloner with the statistics of the expert's channels, where positions are compared. */
  readonly outcome: TrainingOutcome;
  /** Instead of images held back. */
  readonly crossFitted?: CrossFitted | undefined;
}

/** Images learned from that tell how far the terms of the score spread. */
const scaleImages = 128;

export function inputOf({ inputSize, tiling }: Plan): InputShape {
  return { inputSize, tiling };
}

/** Measures the images held back by a cloner that has not learned from them. */
export async function measureHeldBack(device: Device, parts: Finish): Promise<GoodImages> {
  const engine = ScoringEngine.on(device);
  const { scorer } = await scorerOf(device, engine, parts);
  const good = await measureWith(engine, scorer, parts);
  await engine.closeSessions();
  return good;
}

/** Calibrates and writes the folder. */
export async function finish(device: Device, parts: Finish): Promise<Manifest> {
  const { options, plan, expert, images, curriculum, lesson, crossFitted } = parts;
  const { cloner: _, ...distillation } = parts.outcome;
  const engine = ScoringEngine.on(device);
  const { scorer, terms, cloner } = await scorerOf(device, engine, parts);
  const good = crossFitted?.good ?? (await measureWith(engine, scorer, parts));
  const calibrated = calibration(good, terms, options.falseAlarmRate);
  const tested = crossFitted ? curriculum.good : curriculum.heldBack;
  const selfTest = await makeSelfTest(
    engine,
    scorer,
    await imagesOf(lesson, tested.slice(0, 2)),
    plan.localization,
  );
  await engine.closeSessions();
  const manifest: ManifestDraft = {
    expert: { name: expert.card.name, fingerprint: fingerprintOf(expert.card) },
    cloner: { layout: plan.layout.map((block) => ({ ...block, widths: [...block.widths] })) },
    inputSize: plan.inputSize,
    ...(plan.tiling ? { tiling: plan.tiling } : {}),
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
      augmentTo: plan.made?.leastImages ?? 0,
      seed: options.seed ?? 0,
    },
    data: {
      images: images.paths.length,
      ...(images.copies > 0 ? { copies: images.copies } : {}),
      heldBack: calibrated.scores.length,
      ...(crossFitted ? { folds: crossFitted.folds } : {}),
      fingerprint: lesson.fingerprint,
    },
    distillation,
    calibration: calibrated,
  };
  const learned = lesson.digests.filter((_, file) => !curriculum.heldBackFiles.includes(file));
  const tensors = new Map([...cloner, learnedImagesTensor(learned)]);
  return writeDetector(options.out, { manifest, cloner: tensors, selfTest });
}

/** The detector to be, without its threshold. */
async function scorerOf(
  device: Device,
  engine: ScoringEngine,
  { options, plan, expert, curriculum, lesson, outcome }: Finish,
): Promise<{
  readonly scorer: Scorer;
  readonly terms: ScaledTerms['terms'];
  readonly cloner: Map<string, ConstantTensor>;
}> {
  const { layout, inputSize, scoringLayers, positions } = plan;
  const typical = curriculum.good.slice(0, scaleImages);
  const layers = plan.trainingLayers.filter(({ name }) => scoringLayers.includes(name));
  const neighbors =
    positions &&
    (await findNeighbors(
      device,
      lesson,
      curriculum,
      { inputSize, layers },
      typical,
      report(options, 'neighbors'),
    ));
  const shape = {
    expertCard: expert.path,
    layout,
    inputSize,
    scoringLayers,
    positions: positions !== undefined,
    neighbors: neighbors !== undefined,
  };
  const known = new Map([...outcome.cloner, ...(neighbors?.tensors ?? [])]);
  const { terms, tensors }: ScaledTerms = positions
    ? await scaledTerms(
        engine,
        shape,
        positions.shares,
        known,
        await imagesOf(lesson, typical),
        neighbors?.discrepancies,
        report(options, 'scale'),
      )
    : { terms: paperTerms(scoringLayers, plan.lambda), tensors: new Map() };
  const cloner = new Map([...known, ...tensors]);
  return { scorer: assembleScorer(shape, terms, cloner, plan.tiling), terms, cloner };
}

function measureWith(
  engine: ScoringEngine,
  scorer: Scorer,
  { curriculum, images, plan, options }: Finish,
): Promise<GoodImages> {
  const heldBack = curriculum.heldBackFiles.map((file) => async () => {
    const path = images.paths[file] as string;
    return decodeNamedImage(await readFile(path), path, inputOf(plan));
  });
  return measureGoodImages(engine, scorer, heldBack, { onProgress: report(options, 'calibrate') });
}

/** What tells of a phase, and ends it when the run is aborted. */
function report({ onProgress, signal }: DistillOptions, phase: DistillProgress['phase']) {
  return (done: number, total: number): void => {
    onProgress?.({ phase, done, total });
    signal?.throwIfAborted();
  };
}

/** The paper's score: directions, and values times lambda. */
function paperTerms(layers: readonly CriticalLayer[], lambda: number): ScaledTerms['terms'] {
  const zeros = layers.map(() => 0);
  const typical = { value: zeros, direction: zeros, peak: 0 };
  return { value: layers.map(() => lambda), direction: layers.map(() => 1), typical };
}

async function imagesOf(lesson: Lesson, indices: readonly number[]): Promise<Uint8Array> {
  return Buffer.concat(await Promise.all(indices.map((index) => lesson.image(index))));
}
