/** y = -x. */
import type { GradientRule } from '../rule.js';

export const negGrad: GradientRule = ({ op, grad }) => [op.Neg(grad)];
