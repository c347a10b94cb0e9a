/** y = |x|; nothing passes at 0. */
import type { GradientRule } from '../rule.js';

export const absGrad: GradientRule = ({ op, grad, input }) => [op.Mul(grad, op.Sign(input(0)))];
