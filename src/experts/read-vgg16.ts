/** Reads the thirteen convolutions of a VGG-16 from an imported file. */
import { convolutions, ExpertError, expertLayout } from '../networks/index.js';
import { type ConstantTensor, decodeModel, type ForeignModel } from '../onnx/index.js';
import { readSafetensors, SafetensorsError, type TensorMap } from '../weights/safetensors.js';

/** How a file names its convolutions; this determines the input convention. */
export type Origin = 'torchvision' | 'caffe';

export interface Vgg16 {
  readonly tensors: TensorMap;
  readonly origin: Origin;
}

/** Positions of the convolutions in torchvision's `features`. */
const torchvisionIndices = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];

const names = convolutions(expertLayout).map(({ name }) => name);

/**
 * Reads convolutions from a safetensors file with names like `conv1_1.weight` (ours) or `features.0.weight`
 * (torchvision).
 * @throws ExpertError if the file is not a VGG-16.
 */
export function vgg16FromSafetensors(bytes: Uint8Array): Vgg16 {
  let file: TensorMap;
  try {
    file = readSafetensors(bytes);
  } catch (error) {
    if (error instanceof SafetensorsError) throw new ExpertError(error.message);
    throw error;
  }
  const torchvision = file.has('features.0.weight');
  const tensors = new Map<string, ConstantTensor>();
  for (const [index, name] of names.entries()) {
    for (const part of ['weight', 'bias']) {
      const stored = torchvision ? `features.${torchvisionIndices[index]}.${part}` : `${name}.${part}`;
      const tensor = file.get(stored);
      if (!tensor) {
        throw new ExpertError(
          `this is not a VGG-16: there is no tensor '${stored}'; wanted conv1_1.weight to conv5_3.bias, ` +
            "or torchvision's features.0.weight to features.28.bias",
        );
      }
      tensors.set(`${name}.${part}`, tensor);
    }
  }
  return { tensors: checked(tensors), origin: torchvision ? 'torchvision' : 'caffe' };
}

/** The operators of VGG-16 in order, up to its last pooling. */
const operatorSequence = expertLayout.flatMap((block) => [
  ...block.widths.flatMap(() => ['Conv', 'Relu']),
  'MaxPool',
]);

/**
 * Reads convolutions from an ONNX model, by the order of its nodes.
 * @throws ExpertError if the model is not a VGG-16, or stores its weights in other files.
 */
export function vgg16FromOnnx(bytes: Uint8Array): Vgg16 {
  const model = decodedModel(bytes);
  const relevant = model.nodes.filter(({ opType }) => ['Conv', 'Relu', 'MaxPool'].includes(opType ?? ''));
  const sequence = relevant.slice(0, operatorSequence.length);
  const wrong = operatorSequence.findIndex((operator, index) => sequence[index]?.opType !== operator);
  if (wrong >= 0) {
    const found = sequence[wrong]?.opType ?? 'the end';
    throw new ExpertError(
      'this is not a VGG-16; import other networks with --layers: ' +
        `position ${wrong + 1} of its layers is ${found}, wanted ${operatorSequence[wrong]}`,
    );
  }
  const tensors = new Map<string, ConstantTensor>();
  for (const [index, node] of sequence.filter(({ opType }) => opType === 'Conv').entries()) {
    for (const [at, part] of [
      [1, 'weight'],
      [2, 'bias'],
    ] as const) {
      const input = node.input?.[at] ?? '';
      const tensor = model.tensors.get(input);
      if (!tensor)
        throw new ExpertError(`this is not a VGG-16: ${node.name} has no stored ${part} ('${input}')`);
      tensors.set(`${names[index]}.${part}`, tensor);
    }
  }
  return { tensors: checked(tensors), origin: 'torchvision' };
}

/** Decodes an ONNX model. @throws ExpertError if it is invalid or incomplete. */
export function decodedModel(bytes: Uint8Array): ForeignModel {
  try {
    return decodeModel(bytes);
  } catch (error) {
    throw new ExpertError((error as Error).message);
  }
}

/** Checks the shapes. @throws ExpertError if one differs from VGG-16. */
function checked(tensors: TensorMap): TensorMap {
  for (const { name, inChannels, outChannels } of convolutions(expertLayout)) {
    const expected = { weight: [outChannels, inChannels, 3, 3], bias: [outChannels] };
    for (const [part, shape] of Object.entries(expected)) {
      const tensor = tensors.get(`${name}.${part}`);
      const count = shape.reduce((product, size) => product * size, 1);
      if (tensor?.shape.join() === shape.join() && tensor.data.length === count) continue;
      throw new ExpertError(
        `this is not a VGG-16: ${name}.${part} is [${tensor?.shape.join(', ')}], wanted [${shape.join(', ')}]`,
      );
    }
  }
  return tensors;
}
