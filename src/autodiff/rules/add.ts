/** y = a + b. */
import type { GradientRule } from '../rule.js';

export const addGrad: GradientRule = ({ grad }) => [grad, grad];
