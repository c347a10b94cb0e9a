/** Pooling. */
import { windowSize } from '../shapes.js';
import { describe, type Node, type NodeSink, type Value } from '../value.js';
import { addNode, checkFloat, imageDims, ints, refusal } from './checks.js';

export interface PoolAttributes {
  readonly kernel_shape: readonly [number, number];
  readonly strides?: readonly [number, number];
  readonly pads?: readonly [number, number, number, number];
}

export function poolingOperators(graph: NodeSink) {
  const pool = (operator: string, x: Value, attributes: PoolAttributes): Value => {
    checkFloat(operator, x);
    const { kernel_shape, strides = [1, 1], pads = [0, 0, 0, 0] } = attributes;
    const [batch, channels, height, width] = imageDims(operator, x);
    const rows = windowSize(height, kernel_shape[0], strides[0], pads[0], pads[2], 1);
    const columns = windowSize(width, kernel_shape[1], strides[1], pads[1], pads[3], 1);
    if (rows < 1 || columns < 1) throw refusal(operator, `${describe(x)} is smaller than the window`);
    const set = { kernel_shape: ints(kernel_shape), strides: ints(strides), pads: ints(pads) };
    return addNode(graph, operator, [x], set, { type: x.type, shape: [batch, channels, rows, columns] });
  };
  return {
    /** Largest value of each window; {@link maxPoolIndices} returns its position. */
    MaxPool: (x: Value, attributes: PoolAttributes): Value => pool('MaxPool', x, attributes),

    /** Mean of each window. No padding: a mean over what is not there has two meanings. */
    AveragePool: (x: Value, attributes: Omit<PoolAttributes, 'pads'>): Value =>
      pool('AveragePool', x, attributes),
  };
}

/** Returns the flat positions (int64) of a MaxPool's maxima: the second output of its node. */
export function maxPoolIndices(node: Node): Value {
  const pooled = node.outputs[0] as Value;
  return pooled.graph.optionalOutput(node, 1, { type: 'int64', shape: pooled.shape });
}
