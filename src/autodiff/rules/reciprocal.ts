/** y = 1 / x; the gradient is -grad y². */
import type { GradientRule } from '../rule.js';

export const reciprocalGrad: GradientRule = ({ op, grad, output }) => [
  op.Neg(op.Mul(grad, op.Mul(output(0), output(0)))),
];
