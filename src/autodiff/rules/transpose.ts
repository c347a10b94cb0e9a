/** y = x with its axes in another order; the gradient goes back in the inverse order. */
import type { GradientRule } from '../rule.js';

export const transposeGrad: GradientRule = ({ op, node, grad }) => {
  const perm = node.attributes.perm;
  const order = perm?.kind === 'ints' ? perm.value : [];
  return [
    op.Transpose(
      grad,
      order.map((_, axis) => order.indexOf(axis)),
    ),
  ];
};
