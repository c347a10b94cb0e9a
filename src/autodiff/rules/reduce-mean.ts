/** y = mean of x over some axes; every entry takes one n-th. */
import { divide, type Value } from '../../onnx/index.js';
import { withReducedAxes } from '../reduced-axes.js';
import type { GradientRule, RuleContext } from '../rule.js';

export const reduceMeanGrad: GradientRule = (context) => {
  const share = context.op.Mul(withReducedAxes(context), oneNth(context));
  return [context.op.ExpandLike(share, context.input(0))];
};

/** 1/n as a scalar; counted when the graph runs where the batch is averaged. */
function oneNth({ graph, op, input, output }: RuleContext): Value {
  const count = divide(input(0).shape, output(0).shape);
  if (typeof count === 'number') return graph.scalar(1 / count);
  return op.Div(op.Cast(op.Size(output(0)), 'float32'), op.Cast(op.Size(input(0)), 'float32'));
}
