/** y = largest entry along axes; entries that are equally large share the gradient, as in PyTorch's amax. */
import { constantInts } from '../constants.js';
import { withReducedAxes } from '../reduced-axes.js';
import type { GradientRule } from '../rule.js';

export const reduceMaxGrad: GradientRule = (context) => {
  const { op, node, grad, input, output } = context;
  const largest = op.Equal(input(0), withReducedAxes(context, output(0)));
  const atMaximum = op.Cast(largest, grad.type);
  const share = op.Div(atMaximum, op.ReduceSum(atMaximum, constantInts(input(1), node)));
  return [op.Mul(share, withReducedAxes(context))];
};
