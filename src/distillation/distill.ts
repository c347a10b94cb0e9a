/**
 * Distillation: from photos of good parts to a detector. The expert's activations are computed once, the
 * cloner follows them on mini-batches, images held back give thresholds, and all of it becomes a folder.
 */
import { resolve } from 'node:path';
import { trainingImages } from '../datasets/index.js';
import {
  assembleScorer,
  calibrate,
  checkTarget,
  embeddedExpert,
  type Manifest,
  type ManifestDraft,
  makeSelfTest,
  ScoringEngine,
  supportedRate,
  writeDetector,
} from '../detector/index.js';
import { fingerprintOf, readExpertCard } from '../networks/index.js';
import { randomStream, shuffled } from '../random/random.js';
import { Device, type DeviceOptions } from '../runtime/index.js';
import {
  type CheckpointSettings,
  checkpointFolder,
  type EpochSum,
  readCheckpoint,
  removeCheckpoint,
  writeCheckpoint,
} from './checkpoint.js';
import { Lesson } from './lesson.js';
import { type Recipe, type RecipeName, recipeByName } from './recipe.js';
import { initialState, Training } from './training.js';

export interface DistillOptions {
  /** An MVTec tree or a folder of good images. */
  readonly dataset: string;
  /** The class that is good, in a tree with a folder for each class; default `good`. */
  readonly normalClass?: string;
  /** Folder of the detector to write. */
  readonly out: string;
  readonly recipe?: RecipeName;
  /** Side of the detector's input in pixels, a multiple of 32 from 32 to 1024. */
  readonly inputSize?: number;
  readonly epochs?: number;
  readonly batch?: number;
  /** Determines everything random; default 0. */
  readonly seed?: number;
  /** Continue from the checkpoint an interrupted run left. */
  readonly resume?: boolean;
  /** Path of another expert's card. */
  readonly expertCard?: string;
  /** Share of new good images that may lie above the threshold; by default 0.05, or the least there can be. */
  readonly falseAlarmRate?: number;
  readonly device?: DeviceOptions;
  /** How much of the expert's activations stays in memory; default 2 GiB. */
  readonly memoryBytes?: number;
  /** Aborting leaves a checkpoint and rejects with {@link DistillationInterrupted}. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: DistillProgress) => void;
}

export interface DistillProgress {
  /** `expert` counts images, `distill` counts steps, `calibrate` counts images. */
  readonly phase: 'expert' | 'distill' | 'calibrate';
  readonly done: number;
  readonly total: number;
  readonly epoch?: number;
  /** Loss of the last step. */
  readonly loss?: number;
  /** Loss on the images held back, when last computed. */
  readonly heldBackLoss?: number;
}

/** The run was aborted; a checkpoint is in `checkpoint` if training had begun. */
export class DistillationInterrupted extends Error {
  override readonly name = 'DistillationInterrupted';

  constructor(readonly checkpoint: string | undefined) {
    super(
      checkpoint
        ? `interrupted; the checkpoint is in ${checkpoint}, continue with --resume`
        : 'interrupted before training began; nothing was written',
    );
  }
}

/** A setting that cannot work. */
export class DistillSettingsError extends Error {
  override readonly name = 'DistillSettingsError';
}

/** Part of the good images that is held back. */
const heldBackShare = 0.15;

/** Fewer images than this leave nothing to learn from and calibrate with. */
const fewestImages = 8;

/** Time between two checkpoints. */
const checkpointMs = 60_000;

/** How often the loss on held-back images is computed, at most, in a run. */
const validations = 12;

/**
 * Distills a detector and writes it to `options.out`.
 * @throws DatasetError, ImageError, CalibrationError, CheckpointError, DistillSettingsError, DetectorError, DistillationInterrupted
 */
export async function distill(options: DistillOptions): Promise<Manifest> {
  const recipe = settle(options);
  await checkTarget(options.out);
  const paths = await trainingImages(options.dataset, options.normalClass);
  if (paths.length < fewestImages) {
    throw new DistillSettingsError(`${paths.length} images are too few; at least ${fewestImages} are needed`);
  }
  const device = await Device.open(options.device);
  try {
    return await new Distillation(options, recipe, paths, device).run();
  } finally {
    await device.close();
  }
}

/** Five poolings halve the input; beyond 1024 pixels activations no longer fit into memory. */
export function isInputSize(size: number): boolean {
  return Number.isInteger(size) && size % 32 === 0 && size >= 32 && size <= 1024;
}

/** The recipe with what the options change. @throws DistillSettingsError naming the wrong setting. */
function settle(options: DistillOptions): Recipe {
  const recipe = recipeByName(options.recipe ?? 'default');
  const { inputSize = recipe.inputSize, epochs = recipe.epochs, batch = recipe.batch } = options;
  if (!isInputSize(inputSize)) {
    throw new DistillSettingsError(`size ${inputSize}: wanted a multiple of 32 from 32 to 1024`);
  }
  if (!Number.isInteger(epochs) || epochs < 1) {
    throw new DistillSettingsError(`epochs ${epochs}: wanted a whole number from 1`);
  }
  if (!Number.isInteger(batch) || batch < 2) {
    throw new DistillSettingsError(`batch ${batch}: wanted a whole number from 2, for batch normalization`);
  }
  return { ...recipe, inputSize, epochs, batch };
}

/** One run of {@link distill}. */
class Distillation {
  readonly #seed: number;
  readonly #expertCard: string;
  readonly #heldBack: readonly number[];
  readonly #trained: readonly number[];
  readonly #checkpoint: string;
  #heldBackLoss: number | undefined;

  constructor(
    private readonly options: DistillOptions,
    private readonly recipe: Recipe,
    private readonly paths: readonly string[],
    private readonly device: Device,
  ) {
    this.#seed = options.seed ?? 0;
    this.#expertCard = options.expertCard ?? embeddedExpert;
    this.#checkpoint = checkpointFolder(resolve(options.out));
    const order = shuffled(paths.length, randomStream(this.#seed, 'held back'));
    const count = Math.max(2, Math.round(heldBackShare * paths.length));
    supportedRate(count, options.falseAlarmRate);
    this.#heldBack = order.slice(0, count);
    this.#trained = order.slice(count);
  }

  async run(): Promise<Manifest> {
    // Whatever can be refused is refused before the expert sees all images.
    if (this.options.resume) await readCheckpoint(this.#checkpoint, this.#settings());
    const lesson = await this.#prepare();
    try {
      const settings = this.#settings(lesson.fingerprint);
      const start = this.options.resume
        ? await readCheckpoint(this.#checkpoint, settings)
        : {
            state: initialState(this.recipe.layout, randomStream(this.#seed, 'cloner')),
            seconds: 0,
            epochSum: { loss: 0, images: 0 },
          };
      const training = await Training.open(this.device, this.recipe, this.recipe.inputSize, start.state);
      const outcome = await this.#train(lesson, training, settings, start);
      await training.close();
      const manifest = await this.#finish(lesson, outcome);
      await removeCheckpoint(this.#checkpoint);
      return manifest;
    } finally {
      await lesson.close();
    }
  }

  async #prepare(): Promise<Lesson> {
    try {
      return await Lesson.prepare(this.device, {
        paths: this.paths,
        inputSize: this.recipe.inputSize,
        layers: this.recipe.trainingLayers,
        expertCard: this.#expertCard,
        memoryBytes: this.options.memoryBytes ?? 2 * 2 ** 30,
        signal: this.options.signal,
        onProgress: (done, total) => this.options.onProgress?.({ phase: 'expert', done, total }),
      });
    } catch (error) {
      if (this.options.signal?.aborted) throw new DistillationInterrupted(undefined);
      throw error;
    }
  }

  /** @param data fingerprint of the images, once they are known. */
  #settings(data?: string): CheckpointSettings {
    const { name, inputSize, epochs, batch } = this.recipe;
    return {
      recipe: name,
      size: inputSize,
      epochs,
      batch,
      seed: this.#seed,
      ...(data === undefined ? {} : { data }),
    };
  }

  async #train(
    lesson: Lesson,
    training: Training,
    settings: CheckpointSettings,
    start: { seconds: number; epochSum: EpochSum },
  ): Promise<TrainingOutcome> {
    const { epochs, batch } = this.recipe;
    const stepsAnEpoch = Math.ceil(this.#trained.length / batch);
    const total = epochs * stepsAnEpoch;
    const validateEvery = Math.max(1, Math.ceil(epochs / validations));
    const began = performance.now();
    const seconds = (): number => start.seconds + (performance.now() - began) / 1000;
    let epochSum = start.epochSum;
    let order = { epoch: -1, images: [] as number[] };
    let epochLoss = Number.NaN;
    let saved = performance.now();
    const save = () =>
      writeCheckpoint(this.#checkpoint, settings, { state: training.state(), seconds: seconds(), epochSum });
    while (training.step < total) {
      if (this.options.signal?.aborted) {
        await save();
        throw new DistillationInterrupted(this.#checkpoint);
      }
      const epoch = Math.floor(training.step / stepsAnEpoch);
      if (order.epoch !== epoch) order = { epoch, images: this.#epochOrder(epoch) };
      const first = (training.step % stepsAnEpoch) * batch;
      const indices = order.images.slice(first, first + batch);
      const loss = await training.train(await lesson.batch(indices));
      epochSum = { loss: epochSum.loss + loss * indices.length, images: epochSum.images + indices.length };
      if (training.step % stepsAnEpoch === 0) {
        epochLoss = epochSum.loss / epochSum.images;
        epochSum = { loss: 0, images: 0 };
        if ((epoch + 1) % validateEvery === 0 || epoch + 1 === epochs) {
          this.#heldBackLoss = await training.validate(lesson, this.#heldBack, batch);
        }
      }
      if (performance.now() - saved > checkpointMs) {
        await save();
        saved = performance.now();
      }
      this.options.onProgress?.({
        phase: 'distill',
        done: training.step,
        total,
        epoch: epoch + 1,
        loss,
        ...(this.#heldBackLoss === undefined ? {} : { heldBackLoss: this.#heldBackLoss }),
      });
    }
    // A checkpoint made after the last step has no epoch left to run.
    this.#heldBackLoss ??= await training.validate(lesson, this.#heldBack, batch);
    return {
      cloner: training.cloner(),
      steps: training.step,
      seconds: Math.round(seconds()),
      loss: Number.isNaN(epochLoss) ? this.#heldBackLoss : epochLoss,
      heldBackLoss: this.#heldBackLoss,
    };
  }

  /** The images of an epoch, in an order of its own. */
  #epochOrder(epoch: number): number[] {
    const order = shuffled(this.#trained.length, randomStream(this.#seed, `epoch ${epoch}`));
    return order.map((index) => this.#trained[index] as number);
  }

  /** Calibrates with the images held back and writes the folder. */
  async #finish(lesson: Lesson, { cloner, ...outcome }: TrainingOutcome): Promise<Manifest> {
    const { recipe } = this;
    const { layout, inputSize, trainingLayers, scoringLayers, lambda, localization } = recipe;
    const expertCard = this.#expertCard;
    const scorer = assembleScorer({ expertCard, layout, inputSize, scoringLayers }, lambda, cloner);
    const engine = ScoringEngine.on(this.device);
    const images = await imagesOf(lesson, this.#heldBack);
    const calibration = await calibrate(engine, scorer, images, {
      falseAlarmRate: this.options.falseAlarmRate,
      onProgress: (done, total) => this.options.onProgress?.({ phase: 'calibrate', done, total }),
    });
    const selfTest = await makeSelfTest(engine, scorer, images);
    await engine.closeSessions();
    const card = await readExpertCard(expertCard);
    const manifest: ManifestDraft = {
      expert: { name: card.name, fingerprint: fingerprintOf(card) },
      cloner: { layout: layout.map((block) => [...block]) },
      inputSize,
      trainingLayers: [...trainingLayers],
      scoringLayers: [...scoringLayers],
      lambda,
      localization,
      recipe: {
        name: recipe.name,
        notes: [...recipe.notes],
        epochs: recipe.epochs,
        batch: recipe.batch,
        learningRate: recipe.learningRate,
        seed: this.#seed,
      },
      data: { images: lesson.count, heldBack: this.#heldBack.length, fingerprint: lesson.fingerprint },
      distillation: outcome,
      calibration,
    };
    return writeDetector(this.options.out, { manifest, cloner, selfTest });
  }
}

/** What training leaves behind: the cloner, and how it went. */
type TrainingOutcome = Manifest['distillation'] & { readonly cloner: ReturnType<Training['cloner']> };

async function imagesOf(lesson: Lesson, indices: readonly number[]): Promise<Uint8Array> {
  return Buffer.concat(await Promise.all(indices.map((index) => lesson.image(index))));
}
