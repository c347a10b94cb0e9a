/** Operators that reduce along axes. */
import type { Dim } from '../types.js';
import type { NodeSink, Value } from '../value.js';
import { addNode, checkFloat, int, normalAxes } from './checks.js';

export interface ReduceAttributes {
  /** Keep reduced axes with size 1; the specification's default. */
  readonly keepdims?: boolean;
}

export function reductionOperators(graph: NodeSink) {
  const reduction =
    (operator: string) =>
    (x: Value, axes: readonly number[], { keepdims = true }: ReduceAttributes = {}): Value => {
      checkFloat(operator, x);
      const reduced = normalAxes(operator, axes, x.shape.length);
      const shape: Dim[] = [];
      for (const [axis, size] of x.shape.entries()) {
        if (!reduced.includes(axis)) shape.push(size);
        else if (keepdims) shape.push(1);
      }
      const attributes = { keepdims: int(keepdims ? 1 : 0) };
      // Before opset 18 only ReduceSum had its axes as an input; since then all of them do.
      return addNode(graph, operator, [x, graph.ints(reduced)], attributes, { type: x.type, shape });
    };
  return {
    ReduceSum: reduction('ReduceSum'),
    ReduceMean: reduction('ReduceMean'),
    ReduceMax: reduction('ReduceMax'),
    /** Shares along an axis that add up to 1: exp(x), divided by its sum. */
    Softmax(x: Value, axis: number): Value {
      checkFloat('Softmax', x);
      const [at] = normalAxes('Softmax', [axis], x.shape.length) as [number];
      return addNode(graph, 'Softmax', [x], { axis: int(at) }, { type: x.type, shape: x.shape });
    },
    /** Sum of squares. */
    ReduceSumSquare: reduction('ReduceSumSquare'),
  };
}
