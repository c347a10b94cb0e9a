/** y = a b over the last two axes. */
import type { Value } from '../../onnx/index.js';
import type { GradientRule, RuleContext } from '../rule.js';

export const matMulGrad: GradientRule = ({ op, grad, input, needs }) => [
  needs(0) ? op.MatMul(grad, transposed(op, input(1))) : undefined,
  needs(1) ? op.MatMul(transposed(op, input(0)), grad) : undefined,
];

function transposed(op: RuleContext['op'], x: Value): Value {
  const axes = [...x.shape.keys()];
  const last = axes.splice(-2).reverse();
  return op.Transpose(x, [...axes, ...last]);
}
