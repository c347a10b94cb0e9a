/** Training of a cloner: its tensors, Adam's moments, one step at a time. */
import { initialCloner, type Layout, tensorNames, trainableParameters } from '../networks/index.js';
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
import { adam, type ClonerModelSpec, trainingModel } from './models.js';
import type { Plan } from './recipe.js';

const { inputs, momentOf, nextStateName, outputs: names } = tensorNames;

export interface TrainingState {
  /** Steps taken so far. */
  readonly step: number;
  /** The cloner's tensors, and both moments of each parameter as `<name>.m` and `<name>.v`. */
  readonly tensors: TensorMap;
}

export function initialState(layout: Layout, random: Random): TrainingState {
  const tensors = initialCloner(layout, random);
  for (const { name, shape } of trainableParameters(layout)) {
    for (const moment of ['m', 'v'] as const) {
      const size = shape.reduce((product, dim) => product * dim, 1);
      tensors.set(momentOf(name, moment), { type: 'float32', shape, data: new Float32Array(size) });
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
    /** The weights of the loss. */
    private readonly lossFeeds: Tensors,
  ) {
    this.#step = state.step;
    this.#tensors = new Map(
      [...state.tensors.keys()].map((name) => {
        const { shape, data } = floatTensor(state.tensors, name);
        return [name, float32(shape, data)];
      }),
    );
  }

  static async open(device: Device, plan: Plan, state: TrainingState): Promise<Training> {
    const trainer = await device.session(trainingModel(modelSpec(plan)));
    return new Training(plan, state, trainer, lossWeights(plan));
  }

  get step(): number {
    return this.#step;
  }

  /**
   * Takes one step of Adam on a batch.
   * @returns the loss before the step.
   */
  async train(batch: Tensors): Promise<number> {
    const t = this.#step + 1;
    const learned = Object.fromEntries([...this.#tensors].filter(([name]) => !name.startsWith(averaged)));
    const { outputs } = await this.trainer.run({
      ...batch,
      ...this.lossFeeds,
      ...learned,
      [inputs.stepSize]: float32([], [this.plan.learningRate / (1 - adam.beta1 ** t)]),
      [inputs.rootCorrection]: float32([], [Math.sqrt(1 - adam.beta2 ** t)]),
    });
    const [loss] = float32Data(outputs, names.loss) as unknown as [number];
    if (!Number.isFinite(loss)) throw new Error(`distillation diverged: the loss of step ${t} is ${loss}`);
    for (const name of Object.keys(learned)) this.#tensors.set(name, outputs[nextStateName(name)] as Tensor);
    this.#step = t;
    return loss;
  }

  /** Adds the current weights to the average, which {@link cloner} returns from then on. */
  average(): void {
    const before = (this.#tensors.get(averaged)?.data[0] as number | undefined) ?? 0;
    for (const [name, { dims, data }] of [...this.#tensors].filter(([name]) => isClonerTensor(name))) {
      const sum = this.#tensors.get(`${averaged}.${name}`)?.data as Float32Array | undefined;
      const mean = (data as Float32Array).map(
        (value, at) => ((sum?.[at] ?? 0) * before + value) / (before + 1),
      );
      this.#tensors.set(`${averaged}.${name}`, float32(dims, mean));
    }
    this.#tensors.set(averaged, float32([], [before + 1]));
  }

  /** Returns the current cloner without moments; the average if there is one. */
  cloner(): Map<string, ConstantTensor> {
    const { tensors } = this.state();
    return new Map(
      [...tensors.keys()]
        .filter(isClonerTensor)
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
  }
}

/** Returns the specification of the training and validation graphs. */
export function modelSpec({ layout, inputSize, trainingLayers }: Plan): ClonerModelSpec {
  return { layout, inputSize, layers: trainingLayers };
}

/** Returns the weights of both discrepancies of each layer in the loss. */
export function lossWeights({ trainingLayers, lambda }: Plan): Tensors {
  const weights = (weight: number) =>
    float32(
      [trainingLayers.length],
      trainingLayers.map(() => weight),
    );
  return { [inputs.valueWeights]: weights(lambda), [inputs.directionWeights]: weights(1) };
}

/** Prefix of the averages of the cloner's tensors. The tensor of this name holds the number of averaged states. */
const averaged = 'average';

/** Returns whether a tensor is one of the cloner's own, not a moment or an average. */
function isClonerTensor(name: string): boolean {
  return !/\.[mv]$/.test(name) && !name.startsWith(averaged);
}
