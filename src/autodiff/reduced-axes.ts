/** What the gradients of all reductions have in common. */
import type { Value } from '../onnx/index.js';
import { constantInts } from './constants.js';
import type { RuleContext } from './rule.js';

/** What has the shape of a reduction's output, by default its gradient, with the reduced axes back in place as 1. */
export function withReducedAxes({ op, node, grad, input }: RuleContext, value: Value = grad): Value {
  if (node.attributes.keepdims?.kind !== 'int' || node.attributes.keepdims.value === 1) return value;
  return op.Unsqueeze(value, constantInts(input(1), node));
}
