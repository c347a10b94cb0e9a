/** What a graph consists of, values and nodes, and what operators need of the graph they add nodes to. */
import {
  type Attribute,
  type Attributes,
  type ConstantTensor,
  type DataType,
  type Dim,
  GraphError,
  type Shape,
} from './types.js';

/** The type and shape of a value, as an operator infers it. */
export interface ValueInfo {
  readonly type: DataType;
  readonly shape: Shape;
}

/** What flows along an edge of the graph. */
export interface Value extends ValueInfo {
  /** The graph it belongs to. */
  readonly graph: NodeSink;
  readonly name: string;
  /** The node that computes it; undefined for inputs and constants. */
  readonly producer: Node | undefined;
  /** Its content, where it is part of the model. */
  readonly constant: ConstantTensor | undefined;
}

export interface Node {
  readonly name: string;
  readonly operator: string;
  /** An optional input that is left out is undefined. */
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  readonly attributes: Attributes;
}

/** The part of a graph that operators write to. */
export interface NodeSink {
  readonly name: string;
  ints(numbers: readonly number[]): Value;
  floats(numbers: readonly number[]): Value;
  node(
    operator: string,
    inputs: readonly (Value | undefined)[],
    attributes: Readonly<Record<string, Attribute>>,
    outputs: readonly ValueInfo[],
  ): Node;
  optionalOutput(node: Node, index: number, info: ValueInfo): Value;
}

/** `[N, 3, 128, 128]`, for messages. */
export function describe(value: Value): string {
  return `${value.name} ${value.type}[${value.shape.join(', ')}]`;
}

/** The dimensions as numbers. @throws GraphError when one is symbolic. */
export function knownShape(value: Value, user: string): number[] {
  return value.shape.map((dim: Dim) => {
    if (typeof dim === 'number') return dim;
    throw new GraphError(`${user}: dimension ${dim} of ${describe(value)} must be known`);
  });
}
