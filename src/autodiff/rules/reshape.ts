/** y = x in another shape (Reshape, Squeeze, Unsqueeze). */
import type { GradientRule } from '../rule.js';

export const reshapeGrad: GradientRule = ({ op, grad, input }) => [op.ReshapeLike(grad, input(0))];
