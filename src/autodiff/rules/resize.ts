/** y repeats every entry of an image; its gradient is the sum over the repetitions. */
import type { GradientRule } from '../rule.js';

export const resizeGrad: GradientRule = ({ op, grad, input }) => {
  const [height, width] = input(0).shape.slice(2) as [number, number];
  const [tall, wide] = grad.shape.slice(2) as [number, number];
  const blocks = op.Reshape(grad, [-1, height, tall / height, width, wide / width]);
  return [op.ReshapeLike(op.ReduceSum(blocks, [2, 4]), input(0))];
};
