/** y = x. */
import type { GradientRule } from '../rule.js';

export const identityGrad: GradientRule = ({ grad }) => [grad];
