/** y = tanh(x): dy/dx = 1 - y^2. */
import type { GradientRule } from '../rule.js';

export const tanhGrad: GradientRule = ({ graph, op, grad, output }) => {
  const y = output(0);
  return [op.Mul(grad, op.Sub(graph.scalar(1), op.Mul(y, y)))];
};
