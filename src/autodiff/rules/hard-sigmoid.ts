/** y = alpha x + beta, cut to 0..1; nothing passes where it was cut, as in PyTorch. */
import { GraphError } from '../../onnx/index.js';
import type { GradientRule } from '../rule.js';

export const hardSigmoidGrad: GradientRule = ({ graph, op, node, grad, output }) => {
  const { alpha } = node.attributes;
  if (alpha?.kind !== 'float') throw new GraphError(`HardSigmoid node ${node.name}: no attribute alpha`);
  const y = output(0);
  // y (1 - y) is above 0 between the cuts only.
  const inside = op.Sign(op.Mul(y, op.Sub(graph.scalar(1), y)));
  return [op.Mul(op.Mul(grad, inside), graph.scalar(alpha.value))];
};
