/** y = a b. */
import type { GradientRule } from '../rule.js';

export const mulGrad: GradientRule = ({ op, grad, input, needs }) => [
  needs(0) ? op.Mul(grad, input(1)) : undefined,
  needs(1) ? op.Mul(grad, input(0)) : undefined,
];
