/** y = a - b. */
import type { GradientRule } from '../rule.js';

export const subGrad: GradientRule = ({ op, grad, needs }) => [grad, needs(1) ? op.Neg(grad) : undefined];
