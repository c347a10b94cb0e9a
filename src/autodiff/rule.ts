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
 * Returns the gradient for each input of a node, from the gradient of its first output; undefined where it is not
 * needed. A gradient may keep the broadcast shape of the output: the walk sums it down to the input's shape.
 */
export type GradientRule = (context: RuleContext) => readonly (Value | undefined)[];

/** The rules of a family of operators, by operator. */
export type GradientRules = Readonly<Record<string, GradientRule>>;

/**
 * The answers for an operator: a rule; `no gradient` if the output does not change when the input changes a little; or a
 * reason to refuse, where silence would give a wrong gradient.
 */
export type Answer =
  | { readonly kind: 'rule'; readonly rule: GradientRule }
  | { readonly kind: 'no gradient' }
  | { readonly kind: 'refused'; readonly why: string };

export type Registry = ReadonlyMap<string, Answer>;

/** Returns an int64 vector that is part of the model, as numbers. @throws GraphError if the graph computes it. */
export function constantInts(value: Value, user: Node): number[] {
  if (value.constant?.type !== 'int64') {
    throw new GraphError(`${user.operator} node ${user.name}: ${describe(value)} must be a constant`);
  }
  return Array.from(value.constant.data, Number);
}
