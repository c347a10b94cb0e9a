/** y = sqrt(x); the gradient is infinite at 0. */
import type { GradientRule } from '../rule.js';

export const sqrtGrad: GradientRule = ({ graph, op, grad, output }) => [
  op.Div(op.Mul(grad, graph.scalar(0.5)), output(0)),
];
