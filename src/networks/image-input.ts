/** The image input of every graph: decoded pixels, uint8 with channels last. */
import type { Dim, Graph, Value } from '../onnx/index.js';
import { inputs } from './tensor-names.js';

/**
 * Declares the input `image`, uint8 [N, H, W, 3] in RGB.
 * @returns the image as float32 [N, 3, H, W] in 0..1, which can be differentiated.
 */
export function addImageInput(
  graph: Graph,
  [height, width]: readonly [number, number],
  batch: Dim = 'N',
): Value {
  const { op } = graph;
  const bytes = graph.input(inputs.image, 'uint8', [batch, height, width, 3]);
  const planes = op.Cast(op.Transpose(bytes, [0, 3, 1, 2]), 'float32');
  return op.Mul(planes, graph.scalar(1 / 255));
}
