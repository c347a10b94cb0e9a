/** y = max(a, b); where both are equal each takes half, as PyTorch does. */
import type { GradientRule } from '../rule.js';

export const maxGrad: GradientRule = ({ graph, op, grad, input, needs }) => {
  // (sign(a - b) + 1) / 2 is 1 where a is larger, 0 where b is, one half at a tie.
  const half = graph.scalar(0.5);
  const share = op.Add(op.Mul(op.Sign(op.Sub(input(0), input(1))), half), half);
  return [
    needs(0) ? op.Mul(grad, share) : undefined,
    needs(1) ? op.Mul(grad, op.Sub(graph.scalar(1), share)) : undefined,
  ];
};
