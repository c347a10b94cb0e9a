/** Reading what a graph holds as constants. */
import { describe, GraphError, type Node, type Value } from '../onnx/index.js';

/** An int64 vector that is part of the model, as numbers. @throws GraphError when it is computed. */
export function constantInts(value: Value, user: Node): number[] {
  if (value.constant?.type !== 'int64') {
    throw new GraphError(`${user.operator} node ${user.name}: ${describe(value)} has to be a constant`);
  }
  return Array.from(value.constant.data, Number);
}
