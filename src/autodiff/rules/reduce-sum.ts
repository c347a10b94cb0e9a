/** y = sum of x over some axes. */
import { withReducedAxes } from '../reduced-axes.js';
import type { GradientRule } from '../rule.js';

export const reduceSumGrad: GradientRule = (context) => [
  context.op.ExpandLike(withReducedAxes(context), context.input(0)),
];
