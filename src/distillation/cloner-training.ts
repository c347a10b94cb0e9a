/**
 * The distillation of one cloner: the expert's activations are computed once, then the cloner follows them on
 * mini-batches. This module only trains; calibrated-detector.ts scores with the cloner.
 */
import { supportedRate } from '../detector/index.js';
import type { InputShape } from '../imaging/index.js';
import { type ExpertCard, fingerprintOf } from '../networks/index.js';
import type { ConstantTensor } from '../onnx/index.js';
import { randomStream } from '../random/random.js';
import type { Device } from '../runtime/index.js';
import {
  type CheckpointSettings,
  type EpochSum,
  readCheckpoint,
  removeCheckpoint,
  writeCheckpoint,
} from './checkpoint.js';
import { checkFolds, type FoldResult } from './cross-fit.js';
import { Curriculum, type HoldBack } from './images/curriculum.js';
import { TrainingSet } from './images/training-set.js';
import type { Plan } from './recipe.js';
import type { DistillOptions, PhaseProgress } from './settings.js';
import { initialState, Training, type TrainingState } from './training.js';
import { Validation } from './validation.js';
import type { PhaseUnits, WholeRun } from './whole-run.js';

/** Time between two checkpoints. */
const checkpointMs = 60_000;

/** How often, at most, the loss on held-back images is computed. */
const validations = 12;

/** Good images on disk. */
export interface ImageFiles {
  /** The first of files with the same contents. */
  readonly paths: readonly string[];
  /** Files left out because they are copies. */
  readonly copies: number;
  /** The part that each image shows, if several show the same. */
  readonly groups?: readonly number[] | undefined;
}

/** Returns how many parts some files show, all of them by default: what a threshold's promise counts. */
export function partsIn({ paths, groups }: ImageFiles, files: readonly number[] = [...paths.keys()]): number {
  return groups ? new Set(files.map((file) => groups[file])).size : files.length;
}

export interface ExpertFile {
  /** Path of its card. */
  readonly path: string;
  readonly card: ExpertCard;
}

/** What all cloners of a distillation have in common. */
export interface DistillationInputs {
  readonly options: DistillOptions;
  readonly plan: Plan;
  readonly expert: ExpertFile;
  readonly images: ImageFiles;
  readonly device: Device;
  readonly whole: WholeRun;
}

/** One cloner to train: which images to hold back, and where its checkpoint is. */
export interface ClonerJob {
  readonly holdBack: HoldBack;
  /** Folder of its checkpoint. */
  readonly checkpoint: string;
  readonly resume: boolean;
  /** Results of the folds before it, if there are folds. */
  readonly folds?: readonly FoldResult[];
}

/** A trained cloner and its training images. */
export interface TrainedCloner {
  /** The cloner's tensors. */
  readonly tensors: Map<string, ConstantTensor>;
  readonly steps: number;
  readonly seconds: number;
  /** Mean training loss of the last epoch. */
  readonly loss: number;
  /** Undefined if nothing was held back. */
  readonly heldBackLoss: number | undefined;
  readonly curriculum: Curriculum;
  readonly set: TrainingSet;
  readonly settings: CheckpointSettings;
  readonly report: (progress: PhaseProgress) => void;
}

interface Start {
  readonly state: TrainingState;
  readonly seconds: number;
  readonly epochSum: EpochSum;
}

export function inputOf({ inputSize, tiling, range }: Plan): InputShape {
  return { inputSize, tiling, range };
}

export class ClonerTraining {
  readonly #seed: number;
  readonly #curriculum: Curriculum;

  /** @throws CalibrationError if the images cannot support the false-alarm rate. */
  constructor(
    private readonly common: DistillationInputs,
    private readonly job: ClonerJob,
  ) {
    const { options, plan, images } = common;
    this.#seed = options.seed ?? 0;
    this.#curriculum = new Curriculum(images.paths.length, plan, this.#seed, job.holdBack, images.groups);
    const calibrating = job.holdBack === 'share' ? this.#curriculum.heldBackFiles : undefined;
    supportedRate(partsIn(images, calibrating), options.falseAlarmRate);
  }

  /**
   * Trains the cloner, and removes its checkpoint after the result was used.
   * @param use receives the cloner while its images are loaded.
   */
  async run<Result>(use: (trained: TrainedCloner) => Promise<Result>): Promise<Result> {
    const { plan, device } = this.common;
    const { checkpoint, resume } = this.job;
    // Check everything that can be checked before the expert runs on all images.
    this.#checkFolds();
    if (resume) await readCheckpoint(checkpoint, this.#settings());
    const set = await this.#prepare();
    try {
      const settings = this.#settings(set.fingerprint);
      this.#checkFolds(set.fingerprint);
      const start: Start = resume
        ? await readCheckpoint(checkpoint, settings)
        : {
            state: initialState(plan.layout, randomStream(this.#seed, 'cloner')),
            seconds: 0,
            epochSum: { loss: 0, images: 0 },
          };
      const training = await Training.open(device, plan, start.state);
      const validation = await Validation.open(device, plan);
      const outcome = await this.#train(set, training, validation, settings, start);
      await training.close();
      await validation.close();
      const result = await use({
        ...outcome,
        tensors: training.cloner(),
        curriculum: this.#curriculum,
        set,
        settings,
        report: (progress) => this.#report(progress),
      });
      await removeCheckpoint(checkpoint);
      return result;
    } finally {
      await set.close();
    }
  }

  /** Checks that the folds belong to this run. Epochs depend on the number of images, unless they were set. */
  #checkFolds(data?: string): void {
    const { holdBack: _, epochs, ...settings } = this.#settings(data);
    const asked = this.common.options.epochs === undefined ? {} : { epochs: this.common.options.epochs };
    checkFolds(this.job.folds ?? [], { ...settings, ...asked });
  }

  #report(progress: PhaseProgress): void {
    const { options, whole } = this.common;
    const { holdBack } = this.job;
    const fold = typeof holdBack === 'string' ? {} : { fold: holdBack.fold + 1 };
    const cloner = typeof holdBack === 'string' ? (options.folds ?? 0) : holdBack.fold;
    options.onProgress?.({ ...progress, ...fold, ...whole.update(progress, cloner, this.#units()) });
  }

  /** Returns how much each phase has to do. */
  #units(): PhaseUnits {
    const { training, heldBack, heldBackFiles, steps } = this.#curriculum;
    return {
      expert: training.length + heldBack.length,
      distill: steps,
      calibrate: heldBackFiles.length,
    };
  }

  #prepare(): Promise<TrainingSet> {
    const { options, plan, expert, images, device } = this.common;
    return TrainingSet.prepare(device, {
      paths: images.paths,
      input: inputOf(plan),
      corners: (file, grid) => this.#curriculum.corners(file, grid),
      layers: plan.trainingLayers,
      expertCard: expert.path,
      memoryBytes: options.memoryBytes ?? 2 * 2 ** 30,
      signal: options.signal,
      onWarning: options.onWarning,
      onProgress: (done, total) => this.#report({ phase: 'expert', done, total }),
    });
  }

  /** @param data fingerprint of the images, once they are read. */
  #settings(data?: string) {
    const { options, plan, expert } = this.common;
    return {
      recipe: 'paper',
      expert: fingerprintOf(expert.card),
      size: plan.inputSize,
      epochs: this.#curriculum.epochs,
      batch: plan.batch,
      tileScale: plan.tiling?.scale ?? 0,
      ...(plan.range ? { range: `${plan.range.low}:${plan.range.high}` } : {}),
      average: String(plan.average),
      lambda: plan.lambda,
      seed: this.#seed,
      folds: options.folds ?? 0,
      holdBack: JSON.stringify(this.job.holdBack),
      ...(options.groupBy === undefined ? {} : { groupBy: options.groupBy }),
      ...(data === undefined ? {} : { data }),
    };
  }

  async #train(
    set: TrainingSet,
    training: Training,
    validation: Validation,
    settings: CheckpointSettings,
    start: Start,
  ): Promise<Pick<TrainedCloner, 'steps' | 'seconds' | 'loss' | 'heldBackLoss'>> {
    const { options, plan } = this.common;
    const { epochs, stepsPerEpoch, steps: total, heldBack } = this.#curriculum;
    const validateEvery = Math.max(1, Math.ceil(epochs / validations));
    const began = performance.now();
    const seconds = (): number => start.seconds + (performance.now() - began) / 1000;
    let { epochSum } = start;
    let heldBackLoss: number | undefined;
    let saved = performance.now();
    const validate = async (): Promise<void> => {
      if (heldBack.length > 0) heldBackLoss = await validation.loss(training.cloner(), set, heldBack);
    };
    const save = async (): Promise<void> => {
      const state = training.state();
      await writeCheckpoint(this.job.checkpoint, settings, { state, seconds: seconds(), epochSum });
      saved = performance.now();
    };
    while (training.step < total) {
      if (options.signal?.aborted) {
        await save();
        options.signal.throwIfAborted();
      }
      if (training.step % stepsPerEpoch === 0) epochSum = { loss: 0, images: 0 };
      const epoch = Math.floor(training.step / stepsPerEpoch);
      const indices = this.#curriculum.batch(training.step);
      const loss = await training.train(await set.batch(indices));
      epochSum = { loss: epochSum.loss + loss * indices.length, images: epochSum.images + indices.length };
      if (training.step % stepsPerEpoch === 0) {
        if (plan.average && this.#curriculum.isAveraged(epoch)) training.average();
        if ((epoch + 1) % validateEvery === 0 || epoch + 1 === epochs) await validate();
      }
      if (performance.now() - saved > checkpointMs) await save();
      this.#report({
        phase: 'distill',
        done: training.step,
        total,
        epoch: epoch + 1,
        loss,
        ...(heldBackLoss === undefined ? {} : { heldBackLoss }),
      });
    }
    await save();
    // A run resumed after its last step has validated nothing yet.
    if (heldBackLoss === undefined) await validate();
    return {
      steps: training.step,
      seconds: Math.round(seconds()),
      loss: epochSum.loss / epochSum.images,
      heldBackLoss,
    };
  }
}
