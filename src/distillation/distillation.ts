/**
 * One cloner: the expert's activations are computed once, the cloner follows them on mini-batches, and what it makes of
 * images it has not learned from becomes a threshold, or a part of one.
 */
import { type Manifest, standardizationFeeds, supportedRate } from '../detector/index.js';
import { fingerprintOf } from '../networks/index.js';
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
import { checkFolds, type FoldResult, together } from './cross-fit.js';
import { Curriculum, type HoldBack } from './curriculum.js';
import {
  type CrossFitted,
  type ExpertFile,
  type Finish,
  finish,
  type ImageFiles,
  inputOf,
  measureHeldBack,
  type TrainingOutcome,
} from './finish.js';
import { Lesson } from './lesson.js';
import type { Plan } from './recipe.js';
import type { DistillOptions, DistillProgress } from './settings.js';
import { initialState, Training } from './training.js';

/** Time between two checkpoints. */
const checkpointMs = 60_000;

/** How often the loss on held-back images is computed, at most, in a run. */
const validations = 12;

/** A cloner to be distilled. */
export interface Part {
  readonly holdBack: HoldBack;
  /** Folder of its checkpoint. */
  readonly checkpoint: string;
  readonly resume: boolean;
  /** What the cloners of the folds before it found, where there are folds. */
  readonly folds?: readonly FoldResult[];
}

/** What a cloner has learned, and from what. */
interface Learned {
  readonly settings: CheckpointSettings;
  readonly parts: Finish;
}

/** A cloner that is distilled: from the images to what it scores. */
export class Distillation {
  readonly #seed: number;
  readonly #curriculum: Curriculum;
  #heldBackLoss: number | undefined;

  constructor(
    private readonly options: DistillOptions,
    private readonly plan: Plan,
    private readonly expert: ExpertFile,
    private readonly images: ImageFiles,
    private readonly device: Device,
    private readonly part: Part,
  ) {
    this.#seed = options.seed ?? 0;
    this.#curriculum = new Curriculum(images.paths.length, plan, this.#seed, part.holdBack);
    const calibrating =
      part.holdBack === 'share' ? this.#curriculum.heldBackFiles.length : images.paths.length;
    supportedRate(calibrating, options.falseAlarmRate);
  }

  /** Writes the detector. */
  async detector(): Promise<Manifest> {
    const { folds = [] } = this.part;
    let crossFitted: CrossFitted | undefined;
    if (folds.length > 0) {
      const { heldBackLoss, ...good } = together(folds);
      this.#heldBackLoss = heldBackLoss;
      crossFitted = { good, folds: folds.length };
    }
    const manifest = await this.#learn(({ parts }) => finish(this.device, { ...parts, crossFitted }));
    await removeCheckpoint(this.part.checkpoint);
    return manifest;
  }

  /** Scores the images held back. */
  async measure(): Promise<FoldResult> {
    return this.#learn(async ({ settings, parts }) => ({
      good: await measureHeldBack(this.device, parts),
      heldBackLoss: parts.outcome.heldBackLoss,
      settings,
    }));
  }

  async #learn<Result>(use: (learned: Learned) => Promise<Result>): Promise<Result> {
    const { checkpoint, resume } = this.part;
    // Whatever can be refused is refused before the expert sees all images.
    this.#checkFolds();
    if (resume) await readCheckpoint(checkpoint, this.#settings());
    const lesson = await this.#prepare();
    try {
      const settings = this.#settings(lesson.fingerprint);
      this.#checkFolds(lesson.fingerprint);
      const start = resume
        ? await readCheckpoint(checkpoint, settings)
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
      return await use({
        settings,
        parts: {
          options: { ...this.options, onProgress: (progress) => this.#report(progress) },
          plan: this.plan,
          expert: this.expert,
          images: this.images,
          curriculum: this.#curriculum,
          lesson,
          outcome: { ...outcome, cloner: new Map([...outcome.cloner, ...statistics]) },
        },
      });
    } finally {
      await lesson.close();
    }
  }

  /** Folds that were found have to be of the same run; how many epochs they had follows from how many images. */
  #checkFolds(data?: string): void {
    const { holdBack: _, epochs, ...settings } = this.#settings(data);
    const asked = this.options.epochs === undefined ? {} : { epochs: this.options.epochs };
    checkFolds(this.part.folds ?? [], { ...settings, ...asked });
  }

  #report(progress: DistillProgress): void {
    const { holdBack } = this.part;
    const fold = typeof holdBack === 'string' ? {} : { fold: holdBack.fold + 1 };
    this.options.onProgress?.({ ...progress, ...fold });
  }

  #prepare(): Promise<Lesson> {
    return Lesson.prepare(this.device, {
      paths: this.images.paths,
      exercises: this.#curriculum.exercises,
      input: inputOf(this.plan),
      corners: (file, grid) => this.#curriculum.corners(file, grid),
      layers: this.plan.trainingLayers,
      expertCard: this.expert.path,
      memoryBytes: this.options.memoryBytes ?? 2 * 2 ** 30,
      signal: this.options.signal,
      onProgress: (done, total) => this.#report({ phase: 'expert', done, total }),
    });
  }

  /** @param data fingerprint of the images, once they are known. */
  #settings(data?: string) {
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
      lambda: this.plan.lambda,
      seed: this.#seed,
      folds: this.options.folds ?? 0,
      holdBack: JSON.stringify(this.part.holdBack),
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
    let saved = performance.now();
    const save = () =>
      writeCheckpoint(this.part.checkpoint, settings, {
        state: training.state(),
        seconds: seconds(),
        epochSum,
      });
    while (training.step < total) {
      if (this.options.signal?.aborted) {
        await save();
        this.options.signal.throwIfAborted();
      }
      if (training.step % stepsAnEpoch === 0) epochSum = { loss: 0, images: 0 };
      const epoch = Math.floor(training.step / stepsAnEpoch);
      const indices = this.#curriculum.batch(training.step);
      const loss = await training.train(await lesson.batch(indices), training.step / total);
      epochSum = { loss: epochSum.loss + loss * indices.length, images: epochSum.images + indices.length };
      if (training.step % stepsAnEpoch === 0) {
        if (this.plan.average && this.#curriculum.isAveraged(epoch)) training.average();
        if (heldBack.length > 0 && ((epoch + 1) % validateEvery === 0 || epoch + 1 === epochs)) {
          this.#heldBackLoss = await training.validate(lesson, heldBack, batch);
        }
      }
      if (performance.now() - saved > checkpointMs) {
        await save();
        saved = performance.now();
      }
      this.#report({
        phase: 'distill',
        done: training.step,
        total,
        epoch: epoch + 1,
        loss,
        ...(this.#heldBackLoss === undefined ? {} : { heldBackLoss: this.#heldBackLoss }),
      });
    }
    await save();
    // A checkpoint made after the last step has no epoch left to run.
    this.#heldBackLoss ??= await training.validate(lesson, heldBack, batch);
    return {
      cloner: training.cloner(),
      steps: training.step,
      seconds: Math.round(seconds()),
      loss: epochSum.loss / epochSum.images,
      heldBackLoss: this.#heldBackLoss,
    };
  }
}
