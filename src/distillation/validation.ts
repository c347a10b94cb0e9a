/** The loss of a cloner on images it is not trained on, with its running statistics. */
import { clonerFeeds } from '../detector/index.js';
import { type Layout, tensorNames } from '../networks/index.js';
import { type Device, float32Data, type Session, type Tensors } from '../runtime/index.js';
import type { TensorMap } from '../weights/safetensors.js';
import type { TrainingSet } from './images/training-set.js';
import { validationModel } from './models.js';
import type { Plan } from './recipe.js';
import { lossWeights, modelSpec } from './training.js';

export class Validation {
  private constructor(
    private readonly layout: Layout,
    private readonly batch: number,
    private readonly session: Session,
    private readonly lossFeeds: Tensors,
  ) {}

  static async open(device: Device, plan: Plan): Promise<Validation> {
    const session = await device.session(validationModel(modelSpec(plan)));
    return new Validation(plan.layout, plan.batch, session, lossWeights(plan));
  }

  /** Returns the mean loss of a cloner over images of a set. */
  async loss(cloner: TensorMap, set: TrainingSet, indices: readonly number[]): Promise<number> {
    const weights = clonerFeeds(this.layout, cloner);
    let sum = 0;
    for (let first = 0; first < indices.length; first += this.batch) {
      const images = await set.batch(indices.slice(first, first + this.batch));
      const { outputs } = await this.session.run({ ...images, ...this.lossFeeds, ...weights });
      for (const loss of float32Data(outputs, tensorNames.outputs.loss)) sum += loss;
    }
    return sum / indices.length;
  }

  async close(): Promise<void> {
    await this.session.close();
  }
}
