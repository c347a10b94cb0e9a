/** The cloner while it learns: its tensors, Adam's moments, one step at a time. */
import {
  foldBatchNormalization,
  initialCloner,
  type Layout,
  trainableParameters,
} from '../networks/index.js';
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
import { expertChannels, type Lesson } from './lesson.js';
import { adam, type ClonerModelSpec, trainingModel, validationModel } from './models.js';
import type { Recipe } from './recipe.js';

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
    private readonly recipe: Recipe,
    state: TrainingState,
    private readonly trainer: Session,
    private readonly validator: Session,
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
    recipe: Recipe,
    inputSize: number,
    state: TrainingState,
  ): Promise<Training> {
    const spec: ClonerModelSpec = {
      layout: recipe.layout,
      inputSize,
      layers: recipe.trainingLayers,
      channels: recipe.trainingLayers.map(expertChannels),
    };
    const trainer = await device.session(trainingModel(spec));
    const validator = await device.session(validationModel(spec));
    return new Training(recipe, state, trainer, validator);
  }

  get step(): number {
    return this.#step;
  }

  /** One step of Adam on a batch. @returns the loss before it. */
  async train(batch: Tensors): Promise<number> {
    const t = this.#step + 1;
    const { outputs } = await this.trainer.run({
      ...batch,
      ...this.#termWeights(),
      ...Object.fromEntries(this.#tensors),
      step_size: float32([], [this.recipe.learningRate / (1 - adam.beta1 ** t)]),
      root_correction: float32([], [Math.sqrt(1 - adam.beta2 ** t)]),
    });
    const [loss] = float32Data(outputs, 'loss') as unknown as [number];
    if (!Number.isFinite(loss)) throw new Error(`distillation diverged: the loss of step ${t} is ${loss}`);
    for (const name of this.#tensors.keys()) this.#tensors.set(name, outputs[`${name}.next`] as Tensor);
    this.#step = t;
    return loss;
  }

  /** Mean loss over images the cloner does not learn from, with the running statistics. */
  async validate(lesson: Lesson, indices: readonly number[], batchSize: number): Promise<number> {
    const folded = foldBatchNormalization(this.recipe.layout, this.cloner());
    const weights = Object.fromEntries(
      folded.map(({ name, shape, data }) => [`cloner.${name}`, float32(shape, data)]),
    );
    let sum = 0;
    for (let first = 0; first < indices.length; first += batchSize) {
      const batch = await lesson.batch(indices.slice(first, first + batchSize));
      const { outputs } = await this.validator.run({ ...batch, ...this.#termWeights(), ...weights });
      for (const score of float32Data(outputs, 'score')) sum += score;
    }
    return sum / indices.length;
  }

  /** The cloner as it stands, without moments. */
  cloner(): Map<string, ConstantTensor> {
    return new Map([...this.state().tensors].filter(([name]) => !/\.[mv]$/.test(name)));
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

  #termWeights(): Tensors {
    const { trainingLayers, lambda } = this.recipe;
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
