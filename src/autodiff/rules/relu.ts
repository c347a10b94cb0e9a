/** y = max(x, 0); nothing passes at 0, as in PyTorch. */
import type { GradientRule } from '../rule.js';

export const reluGrad: GradientRule = ({ op, grad, output }) => [op.Mul(grad, op.Sign(output(0)))];

/**
 * Guided back-propagation (Springenberg et al. 2015): of what plain differentiation lets through, only what is
 * positive goes on.
 */
export const guidedReluGrad: GradientRule = ({ op, grad, output }) => [
  op.Mul(op.Relu(grad), op.Sign(output(0))),
];
