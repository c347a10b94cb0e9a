/**
 * y = largest value of each window. The gradient goes to where the maximum was found: the first one at a tie,
 * as in PyTorch. Windows that overlap add up.
 */
import { maxPoolIndices } from '../../onnx/index.js';
import type { GradientRule } from '../rule.js';

export const maxPoolGrad: GradientRule = ({ graph, op, node, grad, input }) => {
  const flatInput = op.Reshape(input(0), [-1]);
  const zeros = op.ExpandLike(graph.scalar(0), flatInput);
  const positions = op.Reshape(maxPoolIndices(node), [-1]);
  const scattered = op.ScatterElements(
    zeros,
    positions,
    op.Reshape(grad, [-1]),
    overlaps(node) ? 'add' : 'none',
  );
  return [op.ReshapeLike(scattered, input(0))];
};

function overlaps(node: Parameters<typeof maxPoolIndices>[0]): boolean {
  const { kernel_shape, strides } = node.attributes;
  if (kernel_shape?.kind !== 'ints' || strides?.kind !== 'ints') return true;
  return kernel_shape.value.some((size, axis) => size > (strides.value[axis] ?? 1));
}
