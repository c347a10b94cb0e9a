/** What a gradient rule is given and what it answers. */
import type { Graph, Node, Value } from '../onnx/index.js';

export interface RuleContext {
  readonly graph: Graph;
  readonly op: Graph['op'];
  /** The node to differentiate. */
  readonly node: Node;
  /** Its inputs; one that is left out fails the access. */
  input(index: number): Value;
  /** Its outputs. */
  output(index: number): Value;
  /** Gradient with respect to the first output, in that output's shape. */
  readonly grad: Value;
  /** Whether the gradient with respect to this input is wanted. */
  needs(index: number): boolean;
}

/**
 * Gradient values for each input of a node, from the gradient of its first output. Undefined where it is not
 * needed. A gradient may keep the broadcast shape of the output: the walk sums it down to the input's.
 */
export type GradientRule = (context: RuleContext) => readonly (Value | undefined)[];

/**
 * The answers for an operator: a rule; `no gradient`, where the output does not change with small changes of
 * the input; or a reason why it must not be asked, because silence would be a wrong gradient.
 */
export type Answer =
  | { readonly kind: 'rule'; readonly rule: GradientRule }
  | { readonly kind: 'no gradient' }
  | { readonly kind: 'refused'; readonly why: string };

export type Registry = ReadonlyMap<string, Answer>;
