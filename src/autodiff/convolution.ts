/**
 * Gradients of convolution. The gradient of the image is a convolution of the gradient with the kernel flipped and its
 * first two axes swapped (stride 1), or a ConvTranspose. The gradient of the kernel is one matrix product for each kernel
 * position, over the image shifted by that position. On the CPU this is two to three times as fast as one convolution
 * over transposed tensors.
 */
import { type ConvAttributes, GraphError, type Node, type Value } from '../onnx/index.js';
import type { GradientRules, RuleContext } from './rule.js';

export const convolutionRules: GradientRules = {
  /** y = x convolved with w, plus b */
  Conv: (context) => {
    const { op, grad, needs } = context;
    const geometry = geometryOf(context.node);
    return [
      needs(0) ? imageGrad(context, geometry) : undefined,
      needs(1) ? kernelGrad(context, geometry) : undefined,
      needs(2) ? op.ReduceSum(grad, [0, 2, 3], { keepdims: false }) : undefined,
    ];
  },
};

interface Geometry {
  readonly strides: readonly [number, number];
  readonly pads: readonly [number, number, number, number];
  readonly dilations: readonly [number, number];
  readonly group: number;
  readonly kernel: readonly [number, number];
}

function imageGrad({ op, grad, input }: RuleContext, geometry: Geometry): Value {
  const { strides, pads, dilations, group, kernel } = geometry;
  const reach = [dilations[0] * (kernel[0] - 1), dilations[1] * (kernel[1] - 1)] as const;
  const [top, left, bottom, right] = pads;
  const fits = top <= reach[0] && bottom <= reach[0] && left <= reach[1] && right <= reach[1];
  const [out, inPerGroup] = input(1).shape as [number, number];
  // A depthwise kernel has no channel axes to swap.
  const depthwise = inPerGroup === 1 && out === group;
  if (strides[0] === 1 && strides[1] === 1 && (group === 1 || depthwise) && fits) {
    const { MIN_SAFE_INTEGER: front } = Number;
    const flipped = op.Slice(input(1), [-1, -1], [front, front], [2, 3], [-1, -1]);
    return op.Conv(grad, depthwise ? flipped : op.Transpose(flipped, [1, 0, 2, 3]), undefined, {
      group,
      dilations,
      pads: [reach[0] - top, reach[1] - left, reach[0] - bottom, reach[1] - right],
    });
  }
  const [, , height, width] = input(0).shape as [unknown, unknown, number, number];
  const output_padding: [number, number] = [
    (height + top + bottom - reach[0] - 1) % strides[0],
    (width + left + right - reach[1] - 1) % strides[1],
  ];
  return op.ConvTranspose(grad, input(1), { strides, pads, dilations, group, output_padding });
}

function kernelGrad({ op, node, grad, input }: RuleContext, geometry: Geometry): Value {
  const { strides, pads, dilations, group, kernel } = geometry;
  if (group !== 1) {
    throw new GraphError(`Conv node ${node.name}: no kernel gradient for ${group} groups; only for 1`);
  }
  const [top, left, bottom, right] = pads;
  const padded = pads.some((pad) => pad > 0)
    ? op.Pad(input(0), [0, 0, top, left, 0, 0, bottom, right])
    : input(0);
  const [, out, rows, columns] = grad.shape as [unknown, number, number, number];
  const channels = padded.shape[1] as number;
  // [N, positions, out] times the shifted image [N, channels, positions], summed over the batch.
  const gradTransposed = op.Transpose(op.Reshape(grad, [0, out, rows * columns]), [0, 2, 1]);
  const parts: Value[] = [];
  for (let y = 0; y < kernel[0]; y++) {
    for (let x = 0; x < kernel[1]; x++) {
      const start = [y * dilations[0], x * dilations[1]] as const;
      const end = [start[0] + (rows - 1) * strides[0] + 1, start[1] + (columns - 1) * strides[1] + 1];
      const shifted = op.Slice(padded, start, end, [2, 3], strides);
      const flat = op.Reshape(shifted, [0, channels, rows * columns]);
      parts.push(op.ReduceSum(op.MatMul(flat, gradTransposed), [0], { keepdims: true }));
    }
  }
  // [kH kW, in, out] as [out, in, kH, kW]
  const stacked = op.Transpose(op.Concat(parts, 0), [2, 1, 0]);
  return op.Reshape(stacked, [out, channels, kernel[0], kernel[1]]);
}

function geometryOf(node: Node): Geometry {
  const ints = (name: string): readonly number[] => {
    const attribute = node.attributes[name];
    if (attribute?.kind !== 'ints')
      throw new GraphError(`Conv node ${node.name}: attribute ${name} is missing`);
    return attribute.value;
  };
  const group = node.attributes.group?.kind === 'int' ? node.attributes.group.value : 1;
  return {
    strides: ints('strides') as Required<ConvAttributes>['strides'],
    pads: ints('pads') as Required<ConvAttributes>['pads'],
    dilations: ints('dilations') as Required<ConvAttributes>['dilations'],
    kernel: ints('kernel_shape') as Geometry['kernel'],
    group,
  };
}
