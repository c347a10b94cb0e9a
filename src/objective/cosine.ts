import type { Graph, Value } from '../onnx/index.js';

/** Squared lengths below this count as this: what excites nothing has no direction. */
const smallestSquaredLength = 1e-12;

/** Adds the cosine between two tensors of one shape over some of their axes, which stay with length 1. */
export function addCosine(graph: Graph, a: Value, b: Value, axes: readonly number[]): Value {
  const { op } = graph;
  const inverseLength = (x: Value): Value =>
    op.Reciprocal(op.Sqrt(op.Max(op.ReduceSumSquare(x, axes), graph.scalar(smallestSquaredLength))));
  return op.Mul(op.ReduceSum(op.Mul(a, b), axes), op.Mul(inverseLength(a), inverseLength(b)));
}
