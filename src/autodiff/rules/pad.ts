/** y = x with zeros around it; the gradient of the zeros is cut off. */
import { constantInts } from '../constants.js';
import type { GradientRule } from '../rule.js';

export const padGrad: GradientRule = ({ op, node, grad, input }) => {
  const pads = constantInts(input(1), node);
  const shape = input(0).shape;
  const axes = [...shape.keys()].filter((axis) => pads[axis] !== 0 || pads[axis + shape.length] !== 0);
  const starts = axes.map((axis) => pads[axis] as number);
  const ends = axes.map((axis, index) => (starts[index] as number) + (shape[axis] as number));
  return [axes.length === 0 ? grad : op.Slice(grad, starts, ends, axes)];
};
