/** From a trained cloner to a detector: a threshold from images held back, and the folder. */
import { readFile } from 'node:fs/promises';
import {
  assembleScorer,
  calibration,
  type GoodImages,
  learnedTensors,
  type Manifest,
  type Scorer,
  supportedRate,
  type Terms,
  writeDetector,
} from '../detector/index.js';
import { decodeNamedImage } from '../imaging/index.js';
import { type CriticalLayer, fingerprintOf } from '../networks/index.js';
import {
  DirectInference,
  makeSelfTest,
  measureGoodImages,
  ScoringEngine,
  ScoringPipeline,
} from '../scoring/index.js';
import { type DistillationInputs, inputOf, partsIn, type TrainedCloner } from './cloner-training.js';
import { notesOf } from './notes.js';

/** Maps of the paper come from guided gradients (section 3.3). */
const localization = 'guided';

/** Results of the folds' cloners, each on the images it was not trained on. */
export interface CrossFitted {
  readonly good: GoodImages;
  readonly heldBackLoss: number;
  readonly folds: number;
}

/** Measures the images that a cloner was not trained on. */
export async function measureHeldBack(
  common: DistillationInputs,
  trained: TrainedCloner,
): Promise<GoodImages> {
  const engine = ScoringEngine.on(common.device);
  const pipeline = new ScoringPipeline(new DirectInference(engine));
  const good = await heldBackImages(common, pipeline, scorerOf(common, trained), trained);
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
  const scorer = scorerOf(common, trained);
  const terms = paperTerms(plan.scoringLayers, plan.lambda);
  const good = crossFitted?.good ?? (await heldBackImages(common, pipeline, scorer, trained));
  const calibrating = crossFitted ? undefined : curriculum.heldBackFiles;
  const rate = supportedRate(partsIn(images, calibrating), options.falseAlarmRate);
  const calibrated = calibration(good, terms, rate);
  const tested = await pixelsOf(
    trained,
    (crossFitted ? curriculum.training : curriculum.heldBack).slice(0, 2),
  );
  const selfTest = await makeSelfTest(engine, scorer, tested, localization);
  await engine.closeSessions();
  const learned = set.files.filter((_, file) => !curriculum.heldBackFiles.includes(file));
  return writeDetector(options.out, {
    cloner: new Map([...trained.tensors, ...learnedTensors(learned)]),
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
      localization,
      recipe: {
        name: 'paper',
        notes: notesOf(plan, expert.card, curriculum),
        epochs: curriculum.epochs,
        batch: plan.batch,
        learningRate: plan.learningRate,
        average: plan.average,
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

/** Returns the new detector without its threshold: it scores as the paper's does. */
function scorerOf({ plan, expert }: DistillationInputs, { tensors }: TrainedCloner): Scorer {
  const { layout, inputSize, scoringLayers, lambda } = plan;
  const shape = {
    expertCard: expert.path,
    cloner: { kind: 'convolutional', layout } as const,
    inputSize,
    scoringLayers,
  };
  return assembleScorer(shape, paperTerms(scoringLayers, lambda), tensors, plan);
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
  const onProgress = (done: number, total: number): void => {
    trained.report({ phase: 'calibrate', done, total });
    options.signal?.throwIfAborted();
  };
  return measureGoodImages(pipeline, scorer, heldBack, { onProgress });
}

/** Returns the paper's terms: directions, and values times lambda. */
function paperTerms(layers: readonly CriticalLayer[], lambda: number): Terms {
  const zeros = layers.map(() => 0);
  const typical = { value: zeros, direction: zeros };
  return { value: layers.map(() => lambda), direction: layers.map(() => 1), typical };
}

async function pixelsOf({ set }: TrainedCloner, indices: readonly number[]): Promise<Uint8Array> {
  return Buffer.concat(await Promise.all(indices.map((index) => set.image(index))));
}
