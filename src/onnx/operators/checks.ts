/** Checks shared by all families of operators, and adding a node. */
import { normalAxis } from '../shapes.js';
import { type Attribute, type DataType, type Dim, GraphError } from '../types.js';
import { describe, knownShape, type NodeSink, type Value, type ValueInfo } from '../value.js';

export const int = (value: number): Attribute => ({ kind: 'int', value });
export const ints = (value: readonly number[]): Attribute => ({ kind: 'ints', value });
export const float = (value: number): Attribute => ({ kind: 'float', value });
export const text = (value: string): Attribute => ({ kind: 'string', value });

export function refusal(operator: string, why: string): GraphError {
  return new GraphError(`${operator}: ${why}`);
}

/** Adds a node with one output. */
export function addNode(
  graph: NodeSink,
  operator: string,
  inputs: readonly (Value | undefined)[],
  attributes: Readonly<Record<string, Attribute>>,
  output: ValueInfo,
): Value {
  return graph.node(operator, inputs, attributes, [output]).outputs[0] as Value;
}

const floatingPoint: readonly DataType[] = ['float32', 'float16'];

/** @throws GraphError if the values do not all have the same floating-point type. */
export function checkFloat(operator: string, ...values: readonly Value[]): void {
  const type = values[0]?.type;
  for (const value of values) {
    if (!floatingPoint.includes(value.type)) {
      throw refusal(operator, `supports floating point only, not ${describe(value)}`);
    }
    if (value.type !== type) throw refusal(operator, `types differ: ${values.map(describe).join(', ')}`);
  }
}

/** Returns axes counted from the front. @throws GraphError if one is out of range or named twice. */
export function normalAxes(operator: string, axes: readonly number[], rank: number): number[] {
  const normal = axes.map((axis) => normalAxis(axis, rank) ?? -1);
  if (normal.includes(-1) || new Set(normal).size !== normal.length) {
    throw refusal(operator, `axes [${axes.join(', ')}] are out of range or repeated; the rank is ${rank}`);
  }
  return normal;
}

/** Returns the four dimensions of an image tensor. @throws GraphError if any but the first is symbolic. */
export function imageDims(operator: string, x: Value): [Dim, number, number, number] {
  if (x.shape.length !== 4) throw refusal(operator, `${describe(x)} does not have four axes`);
  const [first, ...rest] = x.shape as [Dim, Dim, Dim, Dim];
  const known = knownShape({ ...x, shape: rest }, operator) as [number, number, number];
  return [first, ...known];
}
