/** y = parts one after another; each part takes its stretch of the gradient. */
import type { GradientRule } from '../rule.js';

export const concatGrad: GradientRule = ({ op, node, grad, input, needs }) => {
  const axis = node.attributes.axis?.kind === 'int' ? node.attributes.axis.value : 0;
  let start = 0;
  return node.inputs.map((_, index) => {
    const from = start;
    start += input(index).shape[axis] as number;
    return needs(index) ? op.Slice(grad, [from], [start], [axis]) : undefined;
  });
};
