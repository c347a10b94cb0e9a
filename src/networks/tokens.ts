/**
 * Transformers as experts: they see an image as a row of tokens, one for each patch of it. Their activations are brought to
 * the grid of the patches, like those of convolutions.
 */
import type { ForeignModel, Graph, Value } from '../onnx/index.js';

/** Returns the side of the patches that a model cuts images into, in pixels; undefined if it cuts none. */
export function patchSideOf({ nodes }: ForeignModel): number | undefined {
  const cutting = nodes.find(({ opType }) => opType === 'Conv');
  const ints = (name: string): string =>
    cutting?.attribute.find((attribute) => attribute.name === name)?.ints.join() ?? '';
  const [side] = ints('kernel_shape').split(',').map(Number);
  return side !== undefined && side > 1 && ints('strides') === ints('kernel_shape') ? side : undefined;
}

/**
 * Returns the stride of a grid of patches, in pixels of the detector's input, whose sides are multiples of 32: the power of
 * two next to the side of a patch. For patches of 14 it is 16.
 */
export function patchStride(side: number): number {
  return 2 ** Math.round(Math.log2(side));
}

/**
 * Scales images so that each patch of the model covers one stride: those of a model with patches of 14 to 14/16.
 * @param image float32 [N, 3, H, W]
 */
export function addPatchScaling(graph: Graph, image: Value, side: number): Value {
  const stride = patchStride(side);
  if (stride === side) return image;
  const { op } = graph;
  const [, , height, width] = image.shape as [unknown, unknown, number, number];
  const rows = addScaling(graph, height, (height * side) / stride);
  const columns = addScaling(graph, width, (width * side) / stride);
  return op.MatMul(op.MatMul(rows, image), op.Transpose(columns, [1, 0]));
}

/** Adds what each old pixel gives to each new one, linear and smoothed against aliasing, [to, from]. */
function addScaling(graph: Graph, from: number, to: number): Value {
  const shares = new Float32Array(to * from);
  const ratio = from / to;
  const reach = Math.max(1, ratio);
  for (let at = 0; at < to; at++) {
    const center = (at + 0.5) * ratio - 0.5;
    const weights = Array.from({ length: from }, (_, pixel) =>
      Math.max(0, 1 - Math.abs(pixel - center) / reach),
    );
    const sum = weights.reduce((all, weight) => all + weight, 0);
    for (const [pixel, weight] of weights.entries()) shares[at * from + pixel] = weight / sum;
  }
  return graph.constant({ type: 'float32', shape: [to, from], data: shares });
}

/**
 * Brings tokens to a grid. Tokens before those of the patches, of a class or registers, are left out. Entries above 0 and
 * below 0 become channels of their own, so that what is done with activations after a Relu can be done with them.
 * @param tokens float32 [N, T, C]
 * @param grid rows and columns of patches.
 * @returns float32 [N, 2 C, rows, columns], at least 0; undefined if there are too few tokens.
 */
export function addTokenGrid(
  graph: Graph,
  tokens: Value,
  [rows, columns]: readonly [number, number],
): Value | undefined {
  const { op } = graph;
  const [, count, channels] = tokens.shape as [unknown, number, number];
  const others = count - rows * columns;
  if (others < 0) return undefined;
  const patches = others === 0 ? tokens : op.Slice(tokens, [others], [count], [1]);
  const planes = op.Reshape(op.Transpose(patches, [0, 2, 1]), [0, channels, rows, columns]);
  return op.Concat([op.Relu(planes), op.Relu(op.Neg(planes))], 1);
}
