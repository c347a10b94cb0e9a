/** Gradients of reductions along axes. */
import { divide, type Value } from '../onnx/index.js';
import { constantInts, type GradientRules, type RuleContext } from './rule.js';

export const reductionRules: GradientRules = {
  /** y = sum of x */
  ReduceSum: (context) => [context.op.ExpandLike(withReducedAxes(context), context.input(0))],

  /** y = mean of x: each of n entries takes 1 / n */
  ReduceMean: (context) => {
    const share = context.op.Mul(withReducedAxes(context), oneNth(context));
    return [context.op.ExpandLike(share, context.input(0))];
  },

  /** y = sum of x^2: dy/dx = 2 x */
  ReduceSumSquare: (context) => {
    const { graph, op, input } = context;
    return [op.Mul(input(0), op.Mul(withReducedAxes(context), graph.scalar(2)))];
  },

  /** y = largest entry of x. Entries that are equally large share the gradient, as in PyTorch's amax. */
  ReduceMax: (context) => {
    const { op, node, grad, input, output } = context;
    const largest = op.Equal(input(0), withReducedAxes(context, output(0)));
    const atMaximum = op.Cast(largest, grad.type);
    const share = op.Div(atMaximum, op.ReduceSum(atMaximum, constantInts(input(1), node)));
    return [op.Mul(share, withReducedAxes(context))];
  },
};

/** A value in the shape of a reduction's output (by default its gradient), with the reduced axes put back as 1. */
function withReducedAxes({ op, node, grad, input }: RuleContext, value: Value = grad): Value {
  if (node.attributes.keepdims?.kind !== 'int' || node.attributes.keepdims.value === 1) return value;
  return op.Unsqueeze(value, constantInts(input(1), node));
}

/** 1 / n as a scalar. It is computed when the graph runs if the mean is taken over the batch, whose size varies. */
function oneNth({ graph, op, input, output }: RuleContext): Value {
  const count = divide(input(0).shape, output(0).shape);
  if (typeof count === 'number') return graph.scalar(1 / count);
  return op.Div(op.Cast(op.Size(output(0)), 'float32'), op.Cast(op.Size(input(0)), 'float32'));
}
