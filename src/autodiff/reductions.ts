/** Gradients of reductions along axes. */
import { divide, type Value } from '../onnx/index.js';
import { constantInts, type GradientRules, type RuleContext } from './rule.js';

export const reductionRules: GradientRules = {
  /** y = sum of x */
  ReduceSum: (context) => [context.op.ExpandLike(withReducedAxes(context), context.input(0))],

  /** y = mean of x: each of n entries gets 1 / n */
  ReduceMean: (context) => {
    const share = context.op.Mul(withReducedAxes(context), oneNth(context));
    return [context.op.ExpandLike(share, context.input(0))];
  },

  /** y = sum of x^2: dy/dx = 2 x */
  ReduceSumSquare: (context) => {
    const { graph, op, input } = context;
    return [op.Mul(input(0), op.Mul(withReducedAxes(context), graph.scalar(2)))];
  },

  /** y = softmax(x): dx = y (grad - sum of grad y along the axis) */
  Softmax: ({ op, node, grad, output }) => {
    const { axis } = node.attributes;
    const y = output(0);
    const weighted = op.Mul(grad, y);
    const sum = op.ReduceSum(weighted, [axis?.kind === 'int' ? axis.value : -1]);
    return [op.Sub(weighted, op.Mul(y, sum))];
  },

  /** y = largest entry of x. Equal maxima share the gradient, as in PyTorch's amax. */
  ReduceMax: (context) => {
    const { op, node, grad, input, output } = context;
    const largest = op.Equal(input(0), withReducedAxes(context, output(0)));
    const atMaximum = op.Cast(largest, grad.type);
    const share = op.Div(atMaximum, op.ReduceSum(atMaximum, constantInts(input(1), node)));
    return [op.Mul(share, withReducedAxes(context))];
  },
};

/** Restores the reduced axes with size 1. `value` has the shape of the reduction's output; default its gradient. */
function withReducedAxes({ op, node, grad, input }: RuleContext, value: Value = grad): Value {
  if (node.attributes.keepdims?.kind !== 'int' || node.attributes.keepdims.value === 1) return value;
  return op.Unsqueeze(value, constantInts(input(1), node));
}

/** Returns 1 / n as a scalar. If the mean includes the batch axis, n is known only when the graph runs. */
function oneNth({ graph, op, input, output }: RuleContext): Value {
  const count = divide(input(0).shape, output(0).shape);
  if (typeof count === 'number') return graph.scalar(1 / count);
  return op.Div(op.Cast(op.Size(output(0)), 'float32'), op.Cast(op.Size(input(0)), 'float32'));
}
