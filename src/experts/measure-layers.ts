/** Measures the critical layers of an imported model by building and running it. */
import { addGradients } from '../autodiff/index.js';
import {
  addExpert,
  addImageInput,
  ExpertError,
  type InputConvention,
  type ModelCard,
  type ModelExpert,
  type ModelLayer,
  patchSideOf,
} from '../networks/index.js';
import { encodeModel, type ForeignModel, Graph, GraphError, type Value, valueNames } from '../onnx/index.js';
import { type Device, float32Data, uint8 } from '../runtime/index.js';
import { referenceImages } from './reference-images.js';

/** Input sizes are multiples of this, so every stride must divide it. */
const largestStride = 32;

/**
 * Measures channels, strides and activation sizes.
 * @param names values of the model, or nodes that compute them.
 * @returns the layers, shallow ones first, and the side of the patches of a transformer.
 * @throws ExpertError naming the layer or the operator that cannot be used.
 */
export async function measureLayers(
  device: Device,
  model: ForeignModel,
  input: InputConvention,
  names: readonly string[],
): Promise<Pick<ModelCard, 'layers' | 'patch'>> {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new ExpertError(`the layer '${twice}' is named twice`);
  const images = referenceImages();
  const patch = patchSideOf(model);
  const { graph, values } = buildModel(
    model,
    { input, ...(patch === undefined ? {} : { patch }) },
    names,
    images.size,
  );
  const measured = values.map((value, index) => {
    const layer = { name: names[index] as string, ...geometry(value, names[index] as string, images.size) };
    graph.output(graph.op.Identity(value), layer.name);
    return layer;
  });
  const session = await device.session(encodeModel(graph));
  try {
    const image = uint8([images.count, images.size, images.size, 3], images.pixels);
    const { outputs } = await session.run({ image });
    const layers = measured
      .map((layer) => ({ ...layer, ...activationStatistics(float32Data(outputs, layer.name), layer.name) }))
      .sort((a, b) => a.stride - b.stride);
    return { layers, ...(patch === undefined ? {} : { patch }) };
  } finally {
    await session.close();
  }
}

/** Builds the model as an expert, and its gradients, to check that they exist. */
function buildModel(
  model: ForeignModel,
  card: Pick<ModelCard, 'input' | 'patch'>,
  names: readonly string[],
  size: number,
): { graph: Graph; values: Value[] } {
  const unscaled: ModelExpert = {
    card: {
      schema: 'mkd.expert-model/1',
      name: '',
      sha256: '',
      source: '',
      license: '',
      model: '',
      ...card,
      layers: names.map((name) => ({ name, channels: 0, stride: 0, signed: false, rms: 1 })),
    },
    fingerprint: '',
    model,
  };
  const graph = new Graph('layers');
  try {
    const image = addImageInput(graph, [size, size]);
    const values = [...addExpert(graph, image, unscaled).values()];
    // Rejects operators without a gradient rule now, not later at the first detector that needs a gradient map.
    for (const value of values) addGradients(graph, value, [image]);
    return { graph, values };
  } catch (error) {
    if (!(error instanceof GraphError)) throw error;
    const hint = error.message.includes('has no value')
      ? `; choose from ${shortList(valueNames(model))}`
      : '';
    throw new ExpertError(`${error.message}${hint}`);
  }
}

function geometry({ shape }: Value, name: string, size: number): Pick<ModelLayer, 'channels' | 'stride'> {
  const [, channels, height, width] = shape as readonly number[];
  const stride = size / (height ?? 0);
  const usable = shape.length === 4 && height === width && largestStride % stride === 0;
  if (usable && channels !== undefined) return { channels, stride };
  throw new ExpertError(
    `the layer '${name}' is [${shape.join(', ')}] for an image of ${size} x ${size} pixels; ` +
      'wanted [N, C, H, W], smaller than the image by 1, 2, 4, 8, 16 or 32, or tokens [N, T, C] of its patches',
  );
}

function activationStatistics(values: Float32Array, name: string): Pick<ModelLayer, 'rms' | 'signed'> {
  let squares = 0;
  let least = 0;
  for (const value of values) {
    squares += value * value;
    least = Math.min(least, value);
  }
  const rms = Number(Math.sqrt(squares / values.length).toPrecision(6));
  if (!(rms > 0)) throw new ExpertError(`the layer '${name}' is 0 for all reference images; choose another`);
  return { rms, signed: least < 0 };
}

function shortList(names: readonly string[]): string {
  const shown = names.slice(0, 20).join(', ');
  return names.length > 20 ? `${shown} and ${names.length - 20} more` : shown;
}
