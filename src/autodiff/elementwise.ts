/** Gradients of operators that work element by element. */
import { describe, GraphError, type Value } from '../onnx/index.js';
import type { GradientRule, GradientRules, RuleContext } from './rule.js';

export const elementwiseRules: GradientRules = {
  /** y = a + b */
  Add: ({ grad }) => [grad, grad],

  /** y = a - b */
  Sub: ({ op, grad, needs }) => [grad, needs(1) ? op.Neg(grad) : undefined],

  /** y = a b */
  Mul: ({ op, grad, input, needs }) => [
    needs(0) ? op.Mul(grad, input(1)) : undefined,
    needs(1) ? op.Mul(grad, input(0)) : undefined,
  ],

  /** y = a / b: dy/da = 1 / b, dy/db = -y / b */
  Div: ({ op, grad, input, output, needs }) => {
    const scaled = op.Div(grad, input(1));
    return [scaled, needs(1) ? op.Neg(op.Mul(scaled, output(0))) : undefined];
  },

  /** y = max(a, b). At a tie each input gets half, as in PyTorch. */
  Max: (context) => gradientOfLarger(context, context.input(0), context.input(1)),

  /** y = min(a, b). At a tie each input gets half, as in PyTorch. */
  Min: (context) => gradientOfLarger(context, context.input(1), context.input(0)),

  /** y = -x */
  Neg: ({ op, grad }) => [op.Neg(grad)],

  /** y = |x|: dy/dx = sign(x), 0 at 0 */
  Abs: ({ op, grad, input }) => [op.Mul(grad, op.Sign(input(0)))],

  /** y = sqrt(x): dy/dx = 1 / (2 y), infinite at 0 */
  Sqrt: ({ graph, op, grad, output }) => [op.Div(op.Mul(grad, graph.scalar(0.5)), output(0))],

  /** y = exp(x): dy/dx = y */
  Exp: ({ op, grad, output }) => [op.Mul(grad, output(0))],

  /** y = log(x): dy/dx = 1 / x, infinite at 0 */
  Log: ({ op, grad, input }) => [op.Div(grad, input(0))],

  /** y = 1 / x: dy/dx = -y^2 */
  Reciprocal: ({ op, grad, output }) => [op.Neg(op.Mul(grad, op.Mul(output(0), output(0))))],

  /** y = 1 / (1 + exp(-x)): dy/dx = y (1 - y) */
  Sigmoid: ({ graph, op, grad, output }) => {
    const y = output(0);
    return [op.Mul(grad, op.Mul(y, op.Sub(graph.scalar(1), y)))];
  },

  /** y = tanh(x): dy/dx = 1 - y^2 */
  Tanh: ({ graph, op, grad, output }) => {
    const y = output(0);
    return [op.Mul(grad, op.Sub(graph.scalar(1), op.Mul(y, y)))];
  },

  /** y = erf(x): dy/dx = 2 / sqrt(pi) exp(-x^2) */
  Erf: ({ graph, op, grad, input }) => {
    const slope = op.Exp(op.Neg(op.Mul(input(0), input(0))));
    return [op.Mul(grad, op.Mul(slope, graph.scalar(2 / Math.sqrt(Math.PI))))];
  },

  /** y = a where the condition holds, else b; the condition has no gradient */
  Where: ({ graph, op, grad, input, needs }) => [
    undefined,
    needs(1) ? op.Where(input(0), grad, graph.scalar(0)) : undefined,
    needs(2) ? op.Where(input(0), graph.scalar(0), grad) : undefined,
  ],

  /** y = max(x, 0): dy/dx = 1 above 0, 0 at 0, as in PyTorch */
  Relu: (context) => [context.op.Mul(context.grad, oneAboveZero(context))],

  /** y = x between two scalars: dy/dx = 1 between them, 0 at them */
  Clip: (context) => [context.op.Mul(context.grad, oneBetweenBounds(context))],

  /** y = alpha x + beta, clipped to 0..1: dy/dx = alpha between the bounds, 0 at them, as in PyTorch */
  HardSigmoid: ({ graph, op, node, grad, output }) => {
    const { alpha } = node.attributes;
    if (alpha?.kind !== 'float')
      throw new GraphError(`HardSigmoid node ${node.name}: attribute alpha is missing`);
    const y = output(0);
    // y (1 - y) is above 0 only between the bounds.
    const inside = op.Sign(op.Mul(y, op.Sub(graph.scalar(1), y)));
    return [op.Mul(op.Mul(grad, inside), graph.scalar(alpha.value))];
  },

  /** y = x */
  Identity: ({ grad }) => [grad],

  /** y = x in another floating-point type */
  Cast: ({ op, grad, input }) => {
    const x = input(0);
    if (x.type !== 'float32' && x.type !== 'float16') {
      throw new GraphError(`Cast: no gradient for ${describe(x)}`);
    }
    return [op.Cast(grad, x.type)];
  },
};

/**
 * Guided back-propagation through y = max(x, 0) (Springenberg et al. 2015): only positive gradients pass, and only where
 * x is above 0.
 */
export const guidedRelu: GradientRule = (context) => [
  context.op.Mul(context.op.Relu(context.grad), oneAboveZero(context)),
];

/** The same through y = min(max(x, 0), high), which is a Relu with an upper bound; plain through other bounds. */
export const guidedClip: GradientRule = (context) => {
  const { op, grad, input } = context;
  const isRelu = input(1).constant?.data[0] === 0;
  return [op.Mul(isRelu ? op.Relu(grad) : grad, oneBetweenBounds(context))];
};

/** (sign(larger - smaller) + 1) / 2 is the share of the first input: 1 where it was chosen, one half at a tie. */
function gradientOfLarger(
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

/** 1 where a Relu's output is above 0, else 0. */
function oneAboveZero({ op, output }: RuleContext): Value {
  return step(op, output(0));
}

/** 1 where a Clip's output is between its bounds, else 0. */
function oneBetweenBounds({ op, input, output }: RuleContext): Value {
  return step(op, op.Mul(op.Sub(output(0), input(1)), op.Sub(input(2), output(0))));
}

/**
 * 1 above 0, else 0: a slope so steep that it reaches 1 at the smallest positive number. On the CPU this is one pass;
 * comparing and casting take two, and Sign takes ten times as long.
 */
function step(op: RuleContext['op'], x: Value): Value {
  return op.HardSigmoid(x, { alpha: largestSlope[x.type as 'float32' | 'float16'], beta: nearlyZero });
}

/** OpenVINO takes an offset of exactly 0 for one that is missing, and puts 0.5 in its place. */
const nearlyZero = -1e-30;

const largestSlope = { float32: 3e38, float16: 65_000 };
