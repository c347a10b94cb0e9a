/** y = a / b; the gradient of b is -(grad / b) y. */
import type { GradientRule } from '../rule.js';

export const divGrad: GradientRule = ({ op, grad, input, output, needs }) => {
  const scaled = op.Div(grad, input(1));
  return [scaled, needs(1) ? op.Neg(op.Mul(scaled, output(0))) : undefined];
};
