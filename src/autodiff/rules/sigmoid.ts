/** y = 1 / (1 + exp(-x)): dy/dx = y (1 - y). */
import type { GradientRule } from '../rule.js';

export const sigmoidGrad: GradientRule = ({ graph, op, grad, output }) => {
  const y = output(0);
  return [op.Mul(grad, op.Mul(y, op.Sub(graph.scalar(1), y)))];
};
