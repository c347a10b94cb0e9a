/** Gradients of matrix products. */
import type { Value } from '../onnx/index.js';
import type { GradientRules, RuleContext } from './rule.js';

export const productRules: GradientRules = {
  /** y = a b over the last two axes: dy/da = grad b^T, dy/db = a^T grad */
  MatMul: ({ op, grad, input, needs }) => [
    needs(0) ? op.MatMul(grad, transposed(op, input(1))) : undefined,
    needs(1) ? op.MatMul(transposed(op, input(0)), grad) : undefined,
  ],
};

function transposed(op: RuleContext['op'], x: Value): Value {
  const axes = [...x.shape.keys()];
  const last = axes.splice(-2).reverse();
  return op.Transpose(x, [...axes, ...last]);
}
