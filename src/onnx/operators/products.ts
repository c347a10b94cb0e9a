/** Matrix products. */
import { broadcast } from '../shapes.js';
import type { Dim } from '../types.js';
import { describe, type NodeSink, type Value } from '../value.js';
import { addNode, checkFloat, refusal } from './checks.js';

export function productOperators(graph: NodeSink) {
  return {
    /** Matrix product over the last two axes; leading axes broadcast. */
    MatMul(a: Value, b: Value): Value {
      checkFloat('MatMul', a, b);
      const batch = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2));
      const inner = a.shape.at(-1);
      if (a.shape.length < 2 || b.shape.length < 2 || !batch || inner !== b.shape.at(-2)) {
        throw refusal('MatMul', `${describe(a)} and ${describe(b)} cannot be multiplied`);
      }
      const shape = [...batch, a.shape.at(-2) as Dim, b.shape.at(-1) as Dim];
      return addNode(graph, 'MatMul', [a, b], {}, { type: a.type, shape });
    },
  };
}
