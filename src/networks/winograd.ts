/**
 * 3 x 3 convolutions as Winograd's F(4 x 4, 3 x 3) (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks,
 * 2016), in standard operators: tiles of 6 x 6 positions are transformed, multiplied with the transformed kernel, and
 * transformed back to 4 x 4. A quarter of the multiplications; on the CPU half to two thirds of the time of Conv.
 */
import { type Graph, type Node, sameShape, type Value } from '../onnx/index.js';
import type { Placement } from '../runtime/index.js';

/** From fewer channels, and for fewer tiles, the transforms take longer than the products save. */
const fewestChannels = 128;
const fewestPairs = 128 * 256;
const smallestSide = 16;

/** Positions of a tile along a side: what goes in and what comes out. */
const [inside, outside] = [6, 4] as const;

const imageTransform = [
  [4, 0, -5, 0, 1, 0],
  [0, -4, -4, 1, 1, 0],
  [0, 4, -4, -1, 1, 0],
  [0, -2, -1, 2, 1, 0],
  [0, 2, -1, -2, 1, 0],
  [0, 4, 0, -5, 0, 1],
] as const;

const kernelTransform = [
  [1 / 4, 0, 0],
  [-1 / 6, -1 / 6, -1 / 6],
  [-1 / 6, 1 / 6, -1 / 6],
  [1 / 24, 1 / 12, 1 / 6],
  [1 / 24, -1 / 12, 1 / 6],
  [0, 0, 1],
] as const;

const resultTransform = [
  [1, 1, 1, 1, 1, 0],
  [0, 1, -1, 2, -2, 0],
  [0, 1, 1, 4, 4, 0],
  [0, 1, -1, 8, -8, 1],
] as const;

/**
 * Replaces the convolutions of a graph that are faster this way, those of gradients too: 3 x 3, stride 1, padding 1, one
 * group, kernels that are constants. Results differ by about 1e-5 of the activations. On CUDA none: cuDNN chooses itself.
 */
export function fasterConvolutions(graph: Graph, { provider }: Pick<Placement, 'provider'>): void {
  if (provider !== 'cpu') return;
  for (const node of [...graph.nodes]) {
    if (isFaster(node)) graph.replace(node, () => addWinograd(graph, node));
  }
}

/** Whether a value is known before the graph runs: the runtime computes it once. */
function isFixed({ constant, producer }: Value): boolean {
  return constant !== undefined || (producer?.inputs.every((input) => !input || isFixed(input)) ?? false);
}

function isFaster({ operator, inputs: [x, kernel], attributes }: Node): boolean {
  if (operator !== 'Conv' || !x || !kernel) return false;
  const [, channels, ...sides] = x.shape as [unknown, number, number, number];
  const [out] = kernel.shape as [number];
  const is = (name: string, values: readonly number[]): boolean => {
    const attribute = attributes[name];
    return attribute?.kind === 'ints' && sameShape(attribute.value, values);
  };
  return (
    kernel.type === 'float32' &&
    isFixed(kernel) &&
    Math.min(channels, out) >= fewestChannels &&
    channels * out >= fewestPairs &&
    sides.every((side) => side >= smallestSide && side % outside === 0) &&
    sameShape(kernel.shape, [out, channels, 3, 3]) &&
    is('strides', [1, 1]) &&
    is('pads', [1, 1, 1, 1]) &&
    is('dilations', [1, 1])
  );
}

function addWinograd(graph: Graph, { inputs: [x, kernel, bias], outputs }: Node): Value {
  const { op } = graph;
  const [, channels, height, width] = (x as Value).shape as [unknown, number, number, number];
  const [, out] = (outputs[0] as Value).shape as [unknown, number];
  const [rows, columns] = [height / outside, width / outside];
  const points = inside ** 2;
  // One convolution with channels as images cuts out and transforms all tiles.
  const planes = op.Reshape(x as Value, [-1, 1, height, width]);
  const filters = graph.constant({
    type: 'float32',
    shape: [points, 1, inside, inside],
    data: squared(imageTransform),
  });
  const tiles = op.Conv(planes, filters, undefined, { strides: [outside, outside], pads: [1, 1, 1, 1] });
  const byPoint = op.Transpose(op.Reshape(tiles, [-1, channels, points, rows * columns]), [2, 1, 0, 3]);
  const weights = addTransformed(graph, kernel as Value);
  const products = op.MatMul(weights, op.Reshape(byPoint, [points, channels, -1]));
  const back = graph.constant({
    type: 'float32',
    shape: [points, outside ** 2],
    data: turned(squared(resultTransform), points),
  });
  // Moved in two steps of which each moves one axis: the runtime is slow at others.
  const results = op.MatMul(op.Transpose(op.Reshape(products, [points, -1]), [1, 0]), back);
  const split = op.Reshape(results, [out, -1, rows, columns, outside, outside]);
  const lines = op.Reshape(op.Transpose(split, [0, 1, 2, 4, 3, 5]), [out, -1, height, width]);
  const whole = op.Transpose(lines, [1, 0, 2, 3]);
  return bias ? op.Add(whole, op.Reshape(bias, [1, out, 1, 1])) : whole;
}

/** Returns the transform along both axes, [rows * rows, columns * columns], row-major. */
function squared(transform: readonly (readonly number[])[]): Float32Array {
  return Float32Array.from(
    transform.flatMap((a) => transform.flatMap((b) => a.flatMap((left) => b.map((right) => left * right)))),
  );
}

/** Returns the transposed matrix. */
function turned(matrix: Float32Array, columns: number): Float32Array {
  const rows = matrix.length / columns;
  return matrix.map((_, at) => matrix[(at % rows) * columns + Math.floor(at / rows)] as number);
}

/** Adds the transformed kernel, [points, K, C], which the runtime computes when it opens the graph. */
function addTransformed(graph: Graph, kernel: Value): Value {
  const { op } = graph;
  const [out, channels] = kernel.shape as [number, number];
  const data = squared(kernelTransform);
  const matrix = graph.constant({ type: 'float32', shape: [inside ** 2, 9], data });
  const taps = op.Transpose(op.Reshape(kernel, [out * channels, 9]), [1, 0]);
  return op.Reshape(op.MatMul(matrix, taps), [inside ** 2, out, channels]);
}
