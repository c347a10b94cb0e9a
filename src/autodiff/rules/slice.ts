/** y = x[starts:ends]; the gradient is padded with zeros where x was cut. Steps other than 1 are refused. */
import { type Dim, GraphError } from '../../onnx/index.js';
import { constantInts } from '../constants.js';
import type { GradientRule } from '../rule.js';

export const sliceGrad: GradientRule = ({ op, node, grad, input }) => {
  const [starts, , axes, steps] = [1, 2, 3, 4].map((index) => constantInts(input(index), node)) as [
    number[],
    number[],
    number[],
    number[],
  ];
  const x = input(0);
  const rank = x.shape.length;
  const pads = new Array<number>(2 * rank).fill(0);
  for (const [index, axis] of axes.entries()) {
    if (steps[index] !== 1)
      throw new GraphError(`Slice node ${node.name}: no gradient for step ${steps[index]}`);
    const at = axis < 0 ? axis + rank : axis;
    const size = x.shape[at] as Dim as number;
    const start = starts[index] as number;
    const before = Math.min(Math.max(start < 0 ? start + size : start, 0), size);
    pads[at] = before;
    pads[at + rank] = size - before - (grad.shape[at] as number);
  }
  return [op.Pad(grad, pads)];
};
