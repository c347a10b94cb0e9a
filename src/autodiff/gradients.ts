/**
 * Reverse-mode differentiation of an ONNX graph. The gradient is added to the same graph and uses standard operators
 * only, so any runtime that runs the model also runs its gradient.
 */
import { describe, type Graph, GraphError, type Node, sameShape, type Value } from '../onnx/index.js';
import type { Registry, RuleContext } from './rule.js';
import { plainRules } from './rules.js';

export interface GradientOptions {
  /** The gradient rules; by default those of plain differentiation. */
  readonly rules?: Registry;
}

/**
 * Adds the gradient of the sum of all elements of `of` to the graph.
 *
 * @param withRespectTo inputs, constants or intermediate values, in any order. One may depend on another: each gradient
 * is the total derivative, through all paths.
 * @returns one value for each of `withRespectTo`, in its shape, named `<value>_grad`.
 * @throws GraphError naming the value that `of` does not depend on, or the node that cannot be differentiated.
 */
export function addGradients(
  graph: Graph,
  of: Value,
  withRespectTo: readonly Value[],
  options: GradientOptions = {},
): Value[] {
  const rules = options.rules ?? plainRules;
  const varying = valuesThatVaryWith(graph, withRespectTo, rules);
  for (const value of withRespectTo) {
    if (!floats.has(value.type)) throw new GraphError(`no gradient with respect to ${describe(value)}`);
  }
  const grads = new Map<Value, Value>([[of, graph.op.ExpandLike(graph.scalar(1), of)]]);
  for (const node of [...graph.nodes].reverse()) {
    const output = node.outputs[0];
    const grad = output && grads.get(output);
    if (!grad || !output || !varying.has(output)) continue;
    // A node without varying inputs lies upstream of all targets and needs no rule.
    if (!node.inputs.some((input) => input && varying.has(input))) continue;
    const inputGrads = differentiate(graph, node, grad, varying, rules);
    for (const [index, input] of node.inputs.entries()) {
      const contribution = inputGrads[index];
      if (!input || !contribution || !varying.has(input)) continue;
      const reduced = sumTo(graph, contribution, input);
      const sofar = grads.get(input);
      grads.set(input, sofar ? graph.op.Add(sofar, reduced) : reduced);
    }
  }
  return withRespectTo.map((value) => {
    const grad = grads.get(value);
    if (!grad) throw new GraphError(`${describe(of)} does not depend on ${describe(value)}`);
    return named(graph, grad, value);
  });
}

const floats: ReadonlySet<string> = new Set(['float32', 'float16']);

/** Returns all values that change when one of `sources` changes a little, including the sources. */
function valuesThatVaryWith(graph: Graph, sources: readonly Value[], rules: Registry): Set<Value> {
  const varying = new Set<Value>(sources);
  for (const node of graph.nodes) {
    if (!node.inputs.some((input) => input && varying.has(input))) continue;
    if (rules.get(node.operator)?.kind === 'no gradient') continue;
    for (const output of node.outputs) varying.add(output);
  }
  return varying;
}

function differentiate(
  graph: Graph,
  node: Node,
  grad: Value,
  varying: ReadonlySet<Value>,
  rules: Registry,
): readonly (Value | undefined)[] {
  const answer = rules.get(node.operator);
  const where = `${node.operator} node ${node.name}`;
  if (!answer) throw new GraphError(`${where}: operator ${node.operator} has no gradient rule`);
  if (answer.kind === 'no gradient') return [];
  if (answer.kind === 'refused')
    throw new GraphError(`${where} must not be differentiated: ${answer.reason}`);
  const context: RuleContext = {
    graph,
    op: graph.op,
    node,
    grad,
    input: (index) => present(node.inputs[index], `${where}: input ${index} is missing`),
    output: (index) => present(node.outputs[index], `${where}: output ${index} is missing`),
    needs: (index) => {
      const input = node.inputs[index];
      return input !== undefined && varying.has(input);
    },
  };
  return answer.rule(context);
}

function present(value: Value | undefined, message: string): Value {
  if (!value) throw new GraphError(message);
  return value;
}

/** Sums a gradient over the axes along which `value` was broadcast. */
function sumTo(graph: Graph, grad: Value, value: Value): Value {
  if (sameShape(grad.shape, value.shape)) return grad;
  const added = grad.shape.length - value.shape.length;
  const axes = grad.shape.flatMap((size, axis) =>
    axis < added || (value.shape[axis - added] === 1 && size !== 1) ? [axis] : [],
  );
  const summed = graph.op.ReduceSum(grad, axes, { keepdims: true });
  const leading = Array.from({ length: added }, (_, axis) => axis);
  const result = added === 0 ? summed : graph.op.Squeeze(summed, leading);
  if (!sameShape(result.shape, value.shape)) {
    throw new GraphError(`the gradient ${describe(grad)} does not reduce to ${describe(value)}`);
  }
  return result;
}

function named(graph: Graph, grad: Value, value: Value): Value {
  const own = grad.producer ? grad : graph.op.Identity(grad);
  const name = `${value.name}_grad`;
  return graph.isFree(name) ? graph.rename(own, name) : own;
}
