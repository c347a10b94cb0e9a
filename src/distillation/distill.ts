/**
 * Distillation: from photos of good parts to a detector. The expert's activations are computed once, the
 * cloner follows them on mini-batches, images held back give thresholds, and all of it becomes a folder.
 */
import { readFile } from 'node:fs/promises';
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
  scaledTerms,
  supportedRate,
  type Terms,
  writeDetector,
} from '../detector/index.js';
import { decodeNamedImage, type InputShape } from '../imaging/index.js';
import {
  type CriticalLayer,
  type ExpertCard,
  fingerprintOf,
  type LayerSpec,
  readExpertCard,
} from '../networks/index.js';
import type { ConstantTensor } from '../onnx/index.js';
import { randomStream } from '../random/random.js';
import { Device, type DeviceOptions, float32, type Tensors } from '../runtime/index.js';
import { floatTensor } from '../weights/safetensors.js';
import {
  type CheckpointSettings,
  checkpointFolder,
  type EpochSum,
  readCheckpoint,
  removeCheckpoint,
  writeCheckpoint,
} from './checkpoint.js';
import { Curriculum } from './curriculum.js';
import { Lesson } from './lesson.js';
import { type Plan, planFor, type Recipe, type RecipeName, recipeByName } from './recipe.js';
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
  /** Cuts images into tiles: pixels of the scaled image for a pixel of the original, above 0 and at most 4. */
  readonly tileScale?: number;
  /** Variants of the images are made until there are so many to learn from; 0 makes none. */
  readonly augmentTo?: number;
  /** Averages the weights of every tenth epoch of the last half, as the paper averages its checkpoints. */
  readonly average?: boolean;
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

/** Fewer images than this leave nothing to learn from and calibrate with. */
const fewestImages = 8;

/** Time between two checkpoints. */
const checkpointMs = 60_000;

/** Epochs between two states that are averaged (MKD, section 4). */
const averageEvery = 10;

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
  const expertCard = options.expertCard ?? embeddedExpert;
  const card = await readExpertCard(expertCard);
  const device = await Device.open(options.device);
  try {
    const expert = { path: expertCard, card };
    return await new Distillation(options, planFor(recipe, card), expert, paths, device).run();
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
  if (typeof epochs === 'number' && (!Number.isInteger(epochs) || epochs < 1)) {
    throw new DistillSettingsError(`epochs ${epochs}: wanted a whole number from 1`);
  }
  if (!Number.isInteger(batch) || batch < 2) {
    throw new DistillSettingsError(`batch ${batch}: wanted a whole number from 2, for batch normalization`);
  }
  const { augmentTo = recipe.made?.leastImages ?? 0, average = recipe.average } = options;
  if (!Number.isInteger(augmentTo) || augmentTo < 0) {
    throw new DistillSettingsError(`augmentTo ${augmentTo}: wanted a whole number from 0`);
  }
  const made = { defects: 0, ...recipe.made, leastImages: augmentTo };
  const settled = { ...recipe, inputSize, epochs, batch, made, average };
  const { tileScale: scale } = options;
  if (scale === undefined) return settled;
  if (!(scale > 0 && scale <= 4)) {
    throw new DistillSettingsError(`tileScale ${scale}: wanted a number above 0 and at most 4`);
  }
  return { ...settled, tiling: { scale, overlap: inputSize / 4 } };
}

/** One run of {@link distill}. */
class Distillation {
  readonly #seed: number;
  readonly #curriculum: Curriculum;
  readonly #checkpoint: string;
  #heldBackLoss: number | undefined;

  constructor(
    private readonly options: DistillOptions,
    private readonly plan: Plan,
    private readonly expert: { readonly path: string; readonly card: ExpertCard },
    private readonly paths: readonly string[],
    private readonly device: Device,
  ) {
    this.#seed = options.seed ?? 0;
    this.#checkpoint = checkpointFolder(resolve(options.out));
    this.#curriculum = new Curriculum(paths.length, plan, this.#seed);
    supportedRate(this.#curriculum.heldBackFiles.length, options.falseAlarmRate);
  }

  get #input(): InputShape {
    return { inputSize: this.plan.inputSize, tiling: this.plan.tiling };
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
            state: initialState(this.plan.layout, randomStream(this.#seed, 'cloner')),
            seconds: 0,
            epochSum: { loss: 0, images: 0 },
          };
      const statistics = this.plan.positions
        ? await lesson.channelStatistics(this.#curriculum.trained)
        : new Map<string, ConstantTensor>();
      const training = await Training.open(
        this.device,
        this.plan,
        start.state,
        standardization(this.plan.trainingLayers, statistics),
      );
      const outcome = await this.#train(lesson, training, settings, start);
      await training.close();
      const manifest = await this.#finish(lesson, outcome, statistics);
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
        exercises: this.#curriculum.exercises,
        input: this.#input,
        corners: (file, grid) => this.#curriculum.corners(file, grid),
        layers: this.plan.trainingLayers,
        expertCard: this.expert.path,
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
    const { name, inputSize, batch } = this.plan;
    return {
      recipe: name,
      size: inputSize,
      epochs: this.#curriculum.epochs,
      batch,
      tileScale: this.plan.tiling?.scale ?? 0,
      augmentTo: this.plan.made?.leastImages ?? 0,
      average: String(this.plan.average),
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
    const { batch } = this.plan;
    const { epochs, stepsAnEpoch, steps: total, heldBack } = this.#curriculum;
    const validateEvery = Math.max(1, Math.ceil(epochs / validations));
    const began = performance.now();
    const seconds = (): number => start.seconds + (performance.now() - began) / 1000;
    let epochSum = start.epochSum;
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
      const indices = this.#curriculum.batch(training.step);
      const loss = await training.train(await lesson.batch(indices), training.step / total);
      epochSum = { loss: epochSum.loss + loss * indices.length, images: epochSum.images + indices.length };
      if (training.step % stepsAnEpoch === 0) {
        epochLoss = epochSum.loss / epochSum.images;
        epochSum = { loss: 0, images: 0 };
        if (this.plan.average && epoch >= epochs / 2 && (epoch + 1) % averageEvery === 0) training.average();
        if ((epoch + 1) % validateEvery === 0 || epoch + 1 === epochs) {
          this.#heldBackLoss = await training.validate(lesson, heldBack, batch);
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
    this.#heldBackLoss ??= await training.validate(lesson, heldBack, batch);
    return {
      cloner: training.cloner(),
      steps: training.step,
      seconds: Math.round(seconds()),
      loss: Number.isNaN(epochLoss) ? this.#heldBackLoss : epochLoss,
      heldBackLoss: this.#heldBackLoss,
    };
  }

  /** Calibrates with the images held back and writes the folder. */
  async #finish(
    lesson: Lesson,
    { cloner: learned, ...outcome }: TrainingOutcome,
    statistics: ReadonlyMap<string, ConstantTensor>,
  ): Promise<Manifest> {
    const { plan } = this;
    const { layout, inputSize, trainingLayers, scoringLayers, lambda, localization, positions } = plan;
    const { good, heldBack, heldBackFiles, epochs } = this.#curriculum;
    const { path: expertCard, card } = this.expert;
    const shape = { expertCard, layout, inputSize, scoringLayers, positions: positions !== undefined };
    const engine = ScoringEngine.on(this.device);
    const followed = new Map([...learned, ...statistics]);
    const { terms, tensors } = positions
      ? await scaledTerms(
          engine,
          shape,
          positions.shares,
          followed,
          await imagesOf(lesson, good.slice(0, scaleImages)),
        )
      : { terms: paperTerms(scoringLayers, lambda), tensors: new Map<string, ConstantTensor>() };
    const cloner = new Map([...followed, ...tensors]);
    const scorer = assembleScorer(shape, terms, cloner, plan.tiling);
    const images = heldBackFiles.map((file) => async () => {
      const path = this.paths[file] as string;
      return decodeNamedImage(await readFile(path), path, this.#input);
    });
    const calibration = await calibrate(engine, scorer, images, {
      falseAlarmRate: this.options.falseAlarmRate,
      onProgress: (done, total) => this.options.onProgress?.({ phase: 'calibrate', done, total }),
    });
    const selfTest = await makeSelfTest(engine, scorer, await imagesOf(lesson, heldBack.slice(0, 2)));
    await engine.closeSessions();
    const manifest: ManifestDraft = {
      expert: { name: card.name, fingerprint: fingerprintOf(card) },
      cloner: { layout: layout.map((block) => ({ ...block, widths: [...block.widths] })) },
      inputSize,
      ...(plan.tiling ? { tiling: plan.tiling } : {}),
      trainingLayers: trainingLayers.map(({ name }) => name),
      scoringLayers: [...scoringLayers],
      lambda,
      terms,
      localization,
      recipe: {
        name: plan.name,
        notes: [...plan.notes],
        epochs,
        batch: plan.batch,
        learningRate: plan.learningRate,
        average: plan.average,
        augmentTo: plan.made?.leastImages ?? 0,
        seed: this.#seed,
      },
      data: { images: this.paths.length, heldBack: heldBackFiles.length, fingerprint: lesson.fingerprint },
      distillation: outcome,
      calibration,
    };
    return writeDetector(this.options.out, { manifest, cloner, selfTest });
  }
}

/** Images learned from that tell how far the terms of the score spread. */
const scaleImages = 128;

/** The paper's score: directions, and values times lambda. */
function paperTerms(layers: readonly CriticalLayer[], lambda: number): Terms {
  const zeros = layers.map(() => 0);
  const typical = { value: zeros, direction: zeros, peak: 0 };
  return { value: layers.map(() => lambda), direction: layers.map(() => 1), typical };
}

/** The inputs `mean.<layer>` and `inverse_deviation.<layer>` of the training graph; none without statistics. */
function standardization(
  layers: readonly LayerSpec[],
  statistics: ReadonlyMap<string, ConstantTensor>,
): Tensors {
  if (statistics.size === 0) return {};
  const feeds = layers.flatMap(({ name: layer }) => {
    const { shape, data: mean } = floatTensor(statistics, `expert.${layer}.mean`);
    const { data: deviation } = floatTensor(statistics, `expert.${layer}.deviation`);
    return [
      [`mean.${layer}`, float32(shape, mean)],
      [
        `inverse_deviation.${layer}`,
        float32(
          shape,
          deviation.map((value) => 1 / value),
        ),
      ],
    ] as const;
  });
  return Object.fromEntries(feeds);
}

/** What training leaves behind: the cloner, and how it went. */
type TrainingOutcome = Manifest['distillation'] & { readonly cloner: ReturnType<Training['cloner']> };

async function imagesOf(lesson: Lesson, indices: readonly number[]): Promise<Uint8Array> {
  return Buffer.concat(await Promise.all(indices.map((index) => lesson.image(index))));
}
