import type { Graph, Value } from '../onnx/index.js';

/** Lower bound for squared lengths: avoids a division by zero if no channel responds. */
const smallestSquaredLength = 1e-12;

/** Adds the cosine between two tensors of the same shape over some axes, which are kept with size 1. */
export function addCosine(graph: Graph, a: Value, b: Value, axes: readonly number[]): Value {
  const { op } = graph;
  const inverseLength = (x: Value): Value =>
    op.Reciprocal(op.Sqrt(op.Max(op.ReduceSumSquare(x, axes), graph.scalar(smallestSquaredLength))));
  return op.Mul(op.ReduceSum(op.Mul(a, b), axes), op.Mul(inverseLength(a), inverseLength(b)));
}
