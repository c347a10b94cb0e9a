/** What a gradient rule receives and what it returns. */
import { describe, type Graph, GraphError, type Node, type Value } from '../onnx/index.js';

export interface RuleContext {
  readonly graph: Graph;
  readonly op: Graph['op'];
  /** The node to differentiate. */
  readonly node: Node;
  /** Returns an input. @throws GraphError if the node has none at this index. */
  input(index: number): Value;
  /** Returns an output. @throws GraphError if the node has none at this index. */
  output(index: number): Value;
  /** Gradient with respect to the first output, in that output's shape. */
  readonly grad: Value;
  /** Whether the gradient with respect to this input is needed. */
  needs(index: number): boolean;
}

/**
 * Returns the gradient of each input of a node, from the gradient of its first output; undefined if it is not needed.
 * A gradient may have the broadcast shape of the output: addGradients sums it to the input's shape.
 */
export type GradientRule = (context: RuleContext) => readonly (Value | undefined)[];

/** The rules of a family of operators, by operator. */
export type GradientRules = Readonly<Record<string, GradientRule>>;

/**
 * How an operator is differentiated: by a rule; not at all (`no gradient`) if small changes of the input do not change
 * the output; or refused with a reason, if ignoring it would give a wrong gradient.
 */
export type Differentiation =
  | { readonly kind: 'rule'; readonly rule: GradientRule }
  | { readonly kind: 'no gradient' }
  | { readonly kind: 'refused'; readonly reason: string };

export type Registry = ReadonlyMap<string, Differentiation>;

/** Returns a constant int64 vector as numbers. @throws GraphError if it is not a constant. */
export function constantInts(value: Value, user: Node): number[] {
  if (value.constant?.type !== 'int64') {
    throw new GraphError(`${user.operator} node ${user.name}: ${describe(value)} must be a constant`);
  }
  return Array.from(value.constant.data, Number);
}
