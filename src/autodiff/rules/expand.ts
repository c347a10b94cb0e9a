/** y = x broadcast; the walk sums the gradient back to the shape of x. */
import type { GradientRule } from '../rule.js';

export const expandGrad: GradientRule = ({ grad }) => [grad];
