/** Values and nodes, of which a graph consists, and the interface through which operators add nodes. */
import {
  type Attribute,
  type Attributes,
  type ConstantTensor,
  type DataType,
  type Dim,
  GraphError,
  type Shape,
} from './types.js';

/** Type and shape of a value, as the operator infers them. */
export interface ValueInfo {
  readonly type: DataType;
  readonly shape: Shape;
}

/** A tensor in a graph. */
export interface Value extends ValueInfo {
  /** The graph it belongs to. */
  readonly graph: NodeSink;
  readonly name: string;
  /** The node that computes it; undefined for inputs and constants. */
  readonly producer: Node | undefined;
  /** Its content, if it is stored in the model. */
  readonly constant: ConstantTensor | undefined;
}

export interface Node {
  readonly name: string;
  readonly operator: string;
  /** Omitted optional inputs are undefined. */
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  readonly attributes: Attributes;
}

/** The interface of a graph through which operators add nodes. */
export interface NodeSink {
  readonly name: string;
  ints(numbers: readonly number[]): Value;
  floats(numbers: readonly number[]): Value;
  scalar(number: number): Value;
  node(
    operator: string,
    inputs: readonly (Value | undefined)[],
    attributes: Readonly<Record<string, Attribute>>,
    outputs: readonly ValueInfo[],
  ): Node;
  optionalOutput(node: Node, index: number, info: ValueInfo): Value;
}

/** Returns `x float32[N, 3, 128, 128]`, for messages. */
export function describe(value: Value): string {
  return `${value.name} ${value.type}[${value.shape.join(', ')}]`;
}

/** Returns the dimensions as numbers. @throws GraphError if one is symbolic. */
export function knownShape(value: Value, user: string): number[] {
  return value.shape.map((dim: Dim) => {
    if (typeof dim === 'number') return dim;
    throw new GraphError(`${user}: dimension ${dim} of ${describe(value)} must be known`);
  });
}
