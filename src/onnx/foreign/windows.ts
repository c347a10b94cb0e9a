/** Sliding windows of imported models: geometry, and average pooling as convolution. */

import type { ConvAttributes } from '../operators/index.js';
import type { ConstantTensor } from '../types.js';
import { describe, type Value } from '../value.js';
import type { ForeignNode } from './node.js';

/** Adds average pooling as a convolution with equal weights. By default padding does not count in the mean. */
export function averagePool(node: ForeignNode): readonly Value[] {
  const { graph, op } = node;
  if (node.int('ceil_mode', 0) !== 0) throw node.refusal('ceil_mode 1 is not supported');
  const x = node.input(0);
  const kernel = node.ints('kernel_shape') as [number, number];
  const geometry = windowOf(node, x, kernel);
  const channels = x.shape[1];
  if (typeof channels !== 'number') throw node.refusal(`the channels of ${describe(x)} must be known`);
  const size = kernel[0] * kernel[1];
  const weights = new Float32Array(channels * size).fill(1 / size);
  const w = graph.constant({ type: 'float32', shape: [channels, 1, ...kernel], data: weights });
  const mean = op.Conv(x, w, undefined, { ...geometry, group: channels });
  if (node.int('count_include_pad', 0) === 1 || !geometry.pads?.some((pad) => pad > 0)) return [mean];
  return [op.Mul(mean, graph.constant(insideShares(x, mean, kernel, geometry)))];
}

/** Returns [1, 1, H, W]: area of each window divided by its area inside the image. */
function insideShares(
  x: Value,
  pooled: Value,
  kernel: readonly [number, number],
  { strides = [1, 1], pads = [0, 0, 0, 0] }: ConvAttributes,
): ConstantTensor {
  const along = (axis: 0 | 1): number[] => {
    const size = x.shape[2 + axis] as number;
    return Array.from({ length: pooled.shape[2 + axis] as number }, (_, at) => {
      const from = at * strides[axis] - pads[axis];
      return kernel[axis] / (Math.min(from + kernel[axis], size) - Math.max(from, 0));
    });
  };
  const [rows, columns] = [along(0), along(1)];
  const data = Float32Array.from(rows.flatMap((row) => columns.map((column) => row * column)));
  return { type: 'float32', shape: [1, 1, rows.length, columns.length], data };
}

/** Returns strides, padding and dilations of a sliding window; computes automatic padding. */
export function windowOf(node: ForeignNode, x: Value, kernel: readonly [number, number]): ConvAttributes {
  if (kernel.length !== 2) throw node.refusal('only two-dimensional windows are supported');
  const strides = (node.ints('strides') ?? [1, 1]) as [number, number];
  const dilations = (node.ints('dilations') ?? [1, 1]) as [number, number];
  const group = node.int('group', 1);
  const automatic = node.text('auto_pad', 'NOTSET');
  if (automatic === 'NOTSET' || automatic === 'VALID') {
    const pads = (automatic === 'NOTSET' ? node.ints('pads') : undefined) ?? [0, 0, 0, 0];
    return { strides, dilations, group, pads: pads as [number, number, number, number] };
  }
  const needed = ([0, 1] as const).map((axis) => {
    const size = x.shape[2 + axis] as number;
    const reach = dilations[axis] * (kernel[axis] - 1) + 1;
    return Math.max(0, (Math.ceil(size / strides[axis]) - 1) * strides[axis] + reach - size);
  }) as [number, number];
  // If the padding is odd, SAME_UPPER adds the extra pixel after the image, SAME_LOWER before it.
  const before = needed.map((pad) => (automatic === 'SAME_LOWER' ? Math.ceil(pad / 2) : Math.floor(pad / 2)));
  const pads = [...before, ...needed.map((pad, axis) => pad - (before[axis] as number))];
  return { strides, dilations, group, pads: pads as [number, number, number, number] };
}
