/**
 * Distillation: from photos of good parts to a detector. The expert's activations are computed once, the
 * cloner follows them on mini-batches, images held back give thresholds, and all of it becomes a folder.
 */
import { resolve } from 'node:path';
import { trainingImages } from '../datasets/index.js';
import {
  checkTarget,
  embeddedExpert,
  type Manifest,
  standardizationFeeds,
  supportedRate,
} from '../detector/index.js';
import { fingerprintOf, readExpertCard } from '../networks/index.js';
import type { ConstantTensor } from '../onnx/index.js';
import { randomStream } from '../random/random.js';
import { Device } from '../runtime/index.js';
import {
  type CheckpointSettings,
  checkpointFolder,
  type EpochSum,
  readCheckpoint,
  removeCheckpoint,
  writeCheckpoint,
} from './checkpoint.js';
import { Curriculum } from './curriculum.js';
import { type ExpertFile, finish, inputOf, type TrainingOutcome } from './finish.js';
import { Lesson } from './lesson.js';
import { type Plan, planFor } from './recipe.js';
import { type DistillOptions, DistillSettingsError, settle } from './settings.js';
import { initialState, Training } from './training.js';

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

/** One run of {@link distill}. */
class Distillation {
  readonly #seed: number;
  readonly #curriculum: Curriculum;
  readonly #checkpoint: string;
  #heldBackLoss: number | undefined;

  constructor(
    private readonly options: DistillOptions,
    private readonly plan: Plan,
    private readonly expert: ExpertFile,
    private readonly paths: readonly string[],
    private readonly device: Device,
  ) {
    this.#seed = options.seed ?? 0;
    this.#checkpoint = checkpointFolder(resolve(options.out));
    this.#curriculum = new Curriculum(paths.length, plan, this.#seed);
    supportedRate(this.#curriculum.heldBackFiles.length, options.falseAlarmRate);
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
      const names = this.plan.trainingLayers.map(({ name }) => name);
      const training = await Training.open(
        this.device,
        this.plan,
        start.state,
        statistics.size > 0 ? standardizationFeeds(names, statistics) : {},
      );
      const outcome = await this.#train(lesson, training, settings, start);
      await training.close();
      const manifest = await finish(this.device, {
        options: this.options,
        plan: this.plan,
        expert: this.expert,
        paths: this.paths,
        curriculum: this.#curriculum,
        lesson,
        outcome: { ...outcome, cloner: new Map([...outcome.cloner, ...statistics]) },
      });
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
        input: inputOf(this.plan),
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
      expert: fingerprintOf(this.expert.card),
      size: inputSize,
      epochs: this.#curriculum.epochs,
      batch,
      clonerWidth: this.plan.clonerWidth,
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
}
