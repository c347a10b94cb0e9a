/** The cloner while it learns: its tensors, Adam's moments, one step at a time. */
import { clonerFeeds } from '../detector/index.js';
import { initialCloner, type Layout, trainableParameters } from '../networks/index.js';
import type { ConstantTensor } from '../onnx/index.js';
import type { Random } from '../random/random.js';
import {
  type Device,
  float32,
  float32Data,
  type Session,
  type Tensor,
  type Tensors,
} from '../runtime/index.js';
import { floatTensor, type TensorMap } from '../weights/safetensors.js';
import type { Lesson } from './lesson.js';
import { adam, type ClonerModelSpec, trainingModel, validationModel } from './models.js';
import type { Plan } from './recipe.js';

export interface TrainingState {
  /** Steps taken so far. */
  readonly step: number;
  /** The cloner's tensors, and both moments of each parameter as `<name>.m` and `<name>.v`. */
  readonly tensors: TensorMap;
}

export function initialState(layout: Layout, random: Random): TrainingState {
  const tensors = initialCloner(layout, random);
  for (const { name, shape } of trainableParameters(layout)) {
    for (const moment of ['m', 'v']) {
      const size = shape.reduce((product, dim) => product * dim, 1);
      tensors.set(`${name}.${moment}`, { type: 'float32', shape, data: new Float32Array(size) });
    }
  }
  return { step: 0, tensors };
}

export class Training {
  #step: number;
  #tensors: Map<string, Tensor>;

  private constructor(
    private readonly plan: Plan,
    state: TrainingState,
    private readonly trainer: Session,
    private readonly validator: Session,
    /** What the position-wise comparison takes of the expert's channels. */
    private readonly standardization: Tensors,
  ) {
    this.#step = state.step;
    this.#tensors = new Map(
      [...state.tensors.keys()].map((name) => {
        const { shape, data } = floatTensor(state.tensors, name);
        return [name, float32(shape, data)];
      }),
    );
  }

  static async open(
    device: Device,
    plan: Plan,
    state: TrainingState,
    standardization: Tensors = {},
  ): Promise<Training> {
    const spec: ClonerModelSpec = {
      layout: plan.layout,
      inputSize: plan.inputSize,
      layers: plan.trainingLayers,
      ...(plan.positions ? { positions: plan.positions } : {}),
    };
    const trainer = await device.session(trainingModel(spec));
    const validator = await device.session(validationModel(spec));
    return new Training(plan, state, trainer, validator, standardization);
  }

  get step(): number {
    return this.#step;
  }

  /**
   * One step of Adam on a batch.
   * @param share of all steps that are done, for the schedule of the learning rate.
   * @returns the loss before it.
   */
  async train(batch: Tensors, share = 0): Promise<number> {
    const t = this.#step + 1;
    const learned = Object.fromEntries([...this.#tensors].filter(([name]) => !name.startsWith(averaged)));
    const { outputs } = await this.trainer.run({
      ...(this.plan.positions ? batch : withoutDefect(batch)),
      ...this.#termWeights(),
      ...this.standardization,
      ...learned,
      step_size: float32([], [this.#learningRate(share) / (1 - adam.beta1 ** t)]),
      root_correction: float32([], [Math.sqrt(1 - adam.beta2 ** t)]),
    });
    const [loss] = float32Data(outputs, 'loss') as unknown as [number];
    if (!Number.isFinite(loss)) throw new Error(`distillation diverged: the loss of step ${t} is ${loss}`);
    for (const name of Object.keys(learned)) this.#tensors.set(name, outputs[`${name}.next`] as Tensor);
    this.#step = t;
    return loss;
  }

  /** Mean loss over images the cloner does not learn from, with the running statistics. */
  async validate(lesson: Lesson, indices: readonly number[], batchSize: number): Promise<number> {
    const weights = clonerFeeds(this.plan.layout, this.cloner());
    let sum = 0;
    for (let first = 0; first < indices.length; first += batchSize) {
      const batch = await lesson.batch(indices.slice(first, first + batchSize));
      const { outputs } = await this.validator.run({
        ...withoutDefect(batch),
        ...this.#termWeights(),
        ...this.standardization,
        ...weights,
      });
      for (const loss of float32Data(outputs, 'loss')) sum += loss;
    }
    return sum / indices.length;
  }

  /** Takes the cloner as it stands into the average, which is the cloner from then on. */
  average(): void {
    const before = (this.#tensors.get(averaged)?.data[0] as number | undefined) ?? 0;
    for (const [name, { dims, data }] of [...this.#tensors].filter(([name]) => isCloners(name))) {
      const sum = this.#tensors.get(`${averaged}.${name}`)?.data as Float32Array | undefined;
      const mean = (data as Float32Array).map(
        (value, at) => ((sum?.[at] ?? 0) * before + value) / (before + 1),
      );
      this.#tensors.set(`${averaged}.${name}`, float32(dims, mean));
    }
    this.#tensors.set(averaged, float32([], [before + 1]));
  }

  /** The cloner as it stands, without moments; the average where there is one. */
  cloner(): Map<string, ConstantTensor> {
    const { tensors } = this.state();
    return new Map(
      [...tensors.keys()]
        .filter(isCloners)
        .map((name) => [name, (tensors.get(`${averaged}.${name}`) ?? tensors.get(name)) as ConstantTensor]),
    );
  }

  state(): TrainingState {
    const tensors = new Map<string, ConstantTensor>();
    for (const [name, { dims, data }] of this.#tensors) {
      tensors.set(name, { type: 'float32', shape: dims, data: data as Float32Array });
    }
    return { step: this.#step, tensors };
  }

  async close(): Promise<void> {
    await this.trainer.close();
    await this.validator.close();
  }

  /** Half a cosine ends at a hundredth of where it began, so that the last steps still count. */
  #learningRate(share: number): number {
    const { learningRate, schedule } = this.plan;
    if (schedule === 'constant') return learningRate;
    return learningRate * (0.01 + 0.99 * 0.5 * (1 + Math.cos(Math.PI * share)));
  }

  #termWeights(): Tensors {
    const { trainingLayers, lambda } = this.plan;
    const dims = [trainingLayers.length];
    return {
      value_weights: float32(
        dims,
        trainingLayers.map(() => lambda),
      ),
      direction_weights: float32(
        dims,
        trainingLayers.map(() => 1),
      ),
    };
  }
}

/** Prefix of the averages of the cloner's tensors; a tensor of this name says of how many states. */
const averaged = 'average';

/** Whether it is one of the cloner's own tensors: no moment, no average. */
function isCloners(name: string): boolean {
  return !/\.[mv]$/.test(name) && !name.startsWith(averaged);
}

/** The graph takes `defect` where positions are compared in training only. */
function withoutDefect({ defect: _, ...batch }: Tensors): Tensors {
  return batch;
}
