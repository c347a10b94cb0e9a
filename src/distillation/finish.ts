/** The end of a distillation: terms brought to one scale, a threshold from the images held back, and the folder. */
import { readFile } from 'node:fs/promises';
import {
  assembleScorer,
  calibrate,
  type Manifest,
  type ManifestDraft,
  makeSelfTest,
  type ScaledTerms,
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
import type { Plan } from './recipe.js';
import type { DistillOptions } from './settings.js';

export interface ExpertFile {
  /** Of its card. */
  readonly path: string;
  readonly card: ExpertCard;
}

/** What training leaves behind: the cloner, and how it went. */
export type TrainingOutcome = Manifest['distillation'] & { readonly cloner: Map<string, ConstantTensor> };

export interface Finish {
  readonly options: DistillOptions;
  readonly plan: Plan;
  readonly expert: ExpertFile;
  readonly paths: readonly string[];
  readonly curriculum: Curriculum;
  readonly lesson: Lesson;
  /** The cloner with the statistics of the expert's channels, where positions are compared. */
  readonly outcome: TrainingOutcome;
}

/** Images learned from that tell how far the terms of the score spread. */
const scaleImages = 128;

export function inputOf({ inputSize, tiling }: Plan): InputShape {
  return { inputSize, tiling };
}

/** Calibrates with the images held back and writes the folder. */
export async function finish(device: Device, parts: Finish): Promise<Manifest> {
  const { options, plan, expert, paths, curriculum, lesson } = parts;
  const { cloner: learned, ...distillation } = parts.outcome;
  const { layout, inputSize, scoringLayers, positions } = plan;
  const shape = {
    expertCard: expert.path,
    layout,
    inputSize,
    scoringLayers,
    positions: positions !== undefined,
  };
  const engine = ScoringEngine.on(device);
  const typical = await imagesOf(lesson, curriculum.good.slice(0, scaleImages));
  const { terms, tensors }: ScaledTerms = positions
    ? await scaledTerms(engine, shape, positions.shares, learned, typical)
    : { terms: paperTerms(scoringLayers, plan.lambda), tensors: new Map() };
  const cloner = new Map([...learned, ...tensors]);
  const scorer = assembleScorer(shape, terms, cloner, plan.tiling);
  const images = curriculum.heldBackFiles.map((file) => async () => {
    const path = paths[file] as string;
    return decodeNamedImage(await readFile(path), path, inputOf(plan));
  });
  const calibration = await calibrate(engine, scorer, images, {
    falseAlarmRate: options.falseAlarmRate,
    onProgress: (done, total) => options.onProgress?.({ phase: 'calibrate', done, total }),
  });
  const selfTest = await makeSelfTest(
    engine,
    scorer,
    await imagesOf(lesson, curriculum.heldBack.slice(0, 2)),
  );
  await engine.closeSessions();
  const manifest: ManifestDraft = {
    expert: { name: expert.card.name, fingerprint: fingerprintOf(expert.card) },
    cloner: { layout: layout.map((block) => ({ ...block, widths: [...block.widths] })) },
    inputSize,
    ...(plan.tiling ? { tiling: plan.tiling } : {}),
    trainingLayers: plan.trainingLayers.map(({ name }) => name),
    scoringLayers: [...scoringLayers],
    lambda: plan.lambda,
    terms,
    localization: plan.localization,
    recipe: {
      name: plan.name,
      notes: [...plan.notes],
      epochs: curriculum.epochs,
      batch: plan.batch,
      learningRate: plan.learningRate,
      average: plan.average,
      augmentTo: plan.made?.leastImages ?? 0,
      seed: options.seed ?? 0,
    },
    data: {
      images: paths.length,
      heldBack: curriculum.heldBackFiles.length,
      fingerprint: lesson.fingerprint,
    },
    distillation,
    calibration,
  };
  return writeDetector(options.out, { manifest, cloner, selfTest });
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
