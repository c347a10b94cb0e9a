/** y = x in another floating type; integers have no gradient to pass on. */
import { describe, GraphError } from '../../onnx/index.js';
import type { GradientRule } from '../rule.js';

export const castGrad: GradientRule = ({ op, grad, input }) => {
  const x = input(0);
  if (x.type !== 'float32' && x.type !== 'float16')
    throw new GraphError(`Cast: no gradient for ${describe(x)}`);
  return [op.Cast(grad, x.type)];
};
