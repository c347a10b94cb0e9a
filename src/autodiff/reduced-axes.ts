/** What the gradients of all reductions have in common. */
import type { Value } from '../onnx/index.js';
import { constantInts } from './constants.js';
import type { RuleContext } from './rule.js';

/** The gradient of a reduction's output, with the reduced axes back in place as 1. */
export function withReducedAxes({ op, node, grad, input }: RuleContext): Value {
  if (node.attributes.keepdims?.kind !== 'int' || node.attributes.keepdims.value === 1) return grad;
  return op.Unsqueeze(grad, constantInts(input(1), node));
}
