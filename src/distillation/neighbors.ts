/** The good images that others are compared with, and the discrepancies between them. */
import { type LayerSpec, tensorNames } from '../networks/index.js';
import type { ConstantTensor } from '../onnx/index.js';
import {
  asConstants,
  type Device,
  float32,
  float32Data,
  type Session,
  type Tensors,
} from '../runtime/index.js';
import { mostNeighbors } from './cloner-training.js';
import type { Curriculum } from './images/curriculum.js';
import type { TrainingSet } from './images/training-set.js';
import { neighborModel } from './models.js';

export interface Neighbors {
  /** `neighbors.<layer>` [C, K] of each scoring layer: summaries of training images, as columns. */
  readonly tensors: ReadonlyMap<string, ConstantTensor>;
  /** For each layer, the discrepancies of good images to the nearest image from another file. */
  readonly discrepancies: readonly Float32Array[];
}

/** Images per run. */
const batch = 16;

/** A summary [C] of each layer. */
type Summaries = readonly Float32Array[];

/**
 * Finds neighbors among the training images.
 * @param typical indices of good images, including augmented copies, whose discrepancies are computed.
 * @returns undefined if all training images are from one file, because there is nothing to compare with.
 */
export async function findNeighbors(
  device: Device,
  set: TrainingSet,
  curriculum: Curriculum,
  { inputSize, layers }: { readonly inputSize: number; readonly layers: readonly LayerSpec[] },
  typical: readonly number[],
  onProgress: (done: number, total: number) => void,
): Promise<Neighbors | undefined> {
  const known = curriculum.trainingSquares.slice(0, mostNeighbors);
  const sources = known.map((image) => curriculum.fileOf(image));
  if (new Set(sources).size < 2) return undefined;
  const session = await device.session(neighborModel({ inputSize, layers }));
  const total = known.length + typical.length;
  try {
    const summaries: Summaries[] = [];
    for (let from = 0; from < known.length; from += batch) {
      onProgress(from, total);
      const images = known.slice(from, from + batch);
      const none = layers.map(({ channels }) => new Float32Array(channels));
      const outputs = await run(session, set, layers, images, [none]);
      summaries.push(...images.map((_, row) => rowOf(outputs, layers, row)));
    }
    const discrepancies = layers.map(() => new Float32Array(typical.length));
    for (const [at, image] of typical.entries()) {
      onProgress(known.length + at, total);
      const source = curriculum.fileOf(image);
      const others = summaries.filter((_, place) => sources[place] !== source);
      const found = float32Data(
        await run(session, set, layers, [image], others),
        tensorNames.outputs.neighbor,
      );
      for (const [layer, list] of discrepancies.entries()) list[at] = found[layer] as number;
    }
    onProgress(total, total);
    return { tensors: new Map(Object.entries(asConstants(columns(layers, summaries)))), discrepancies };
  } finally {
    await session.close();
  }
}

async function run(
  session: Session,
  set: TrainingSet,
  layers: readonly LayerSpec[],
  images: readonly number[],
  neighbors: readonly Summaries[],
): Promise<Tensors> {
  const activations = await set.activationsOf(images, layers);
  return (await session.run({ ...activations, ...columns(layers, neighbors) })).outputs;
}

function rowOf(outputs: Tensors, layers: readonly LayerSpec[], row: number): Summaries {
  return layers.map(({ name, channels }) =>
    float32Data(outputs, tensorNames.layerNames.summary(name)).slice(row * channels, (row + 1) * channels),
  );
}

/** Returns summaries of images as `neighbors.<layer>` [C, K]. */
function columns(layers: readonly LayerSpec[], images: readonly Summaries[]): Tensors {
  return Object.fromEntries(
    layers.map(({ name, channels }, layer) => {
      const data = new Float32Array(channels * images.length);
      for (const [column, summaries] of images.entries()) {
        for (const [channel, entry] of (summaries[layer] as Float32Array).entries()) {
          data[channel * images.length + column] = entry;
        }
      }
      return [tensorNames.layerNames.neighbors(name), float32([channels, images.length], data)];
    }),
  );
}
