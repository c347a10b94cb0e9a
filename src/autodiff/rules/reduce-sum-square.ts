/** y = sum of x² over some axes; the gradient is 2 grad x. */
import { withReducedAxes } from '../reduced-axes.js';
import type { GradientRule } from '../rule.js';

export const reduceSumSquareGrad: GradientRule = (context) => {
  const { graph, op, input } = context;
  return [op.Mul(input(0), op.Mul(withReducedAxes(context), graph.scalar(2)))];
};
