/** y = max(x, 0); nothing passes at 0, as in PyTorch. */
import type { Value } from '../../onnx/index.js';
import type { GradientRule, RuleContext } from '../rule.js';

export const reluGrad: GradientRule = (context) => [context.op.Mul(context.grad, passed(context))];

/**
 * Guided back-propagation (Springenberg et al. 2015): of what plain differentiation lets through, only what is
 * positive goes on.
 */
export const guidedReluGrad: GradientRule = (context) => [
  context.op.Mul(context.op.Relu(context.grad), passed(context)),
];

/**
 * 1 where something passed, 0 at 0: a line so steep that it reaches 1 at the smallest number above 0. On the CPU
 * one pass, where comparing and casting take two and Sign takes ten times as long.
 */
function passed({ op, output }: RuleContext): Value {
  return op.HardSigmoid(output(0), { alpha: largestSlope[output(0).type as 'float32' | 'float16'], beta: 0 });
}

const largestSlope = { float32: 3e38, float16: 65_000 };
