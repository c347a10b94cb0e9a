/** y = max(a, b) or min(a, b); where both are equal each takes half, as PyTorch does. */
import type { Value } from '../../onnx/index.js';
import type { GradientRule, RuleContext } from '../rule.js';

export const maxGrad: GradientRule = (context) => shared(context, context.input(0), context.input(1));

export const minGrad: GradientRule = (context) => shared(context, context.input(1), context.input(0));

/** (sign(larger - smaller) + 1) / 2 is the share of the first input: 1 where it is taken, one half at a tie. */
function shared(
  { graph, op, grad, needs }: RuleContext,
  larger: Value,
  smaller: Value,
): (Value | undefined)[] {
  const half = graph.scalar(0.5);
  const share = op.Add(op.Mul(op.Sign(op.Sub(larger, smaller)), half), half);
  return [
    needs(0) ? op.Mul(grad, share) : undefined,
    needs(1) ? op.Mul(grad, op.Sub(graph.scalar(1), share)) : undefined,
  ];
}
