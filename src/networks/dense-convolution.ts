import type { Graph, Value } from '../onnx/index.js';

export interface ConvolutionWeights {
  /** [out, C, 3, 3], row-major. */
  readonly kernel: Float32Array;
  /** [out] */
  readonly bias: Float32Array;
}

/** Side at which a 3 x 3 convolution connects every position with every other. */
const denseSide = 2;

/** Returns whether {@link addDenseConvolution} applies: 2 x 2 positions. */
export function isDense({ shape }: Value): boolean {
  return shape[2] === denseSide && shape[3] === denseSide;
}

/**
 * Adds a 3 x 3 convolution with padding 1 over 2 x 2 positions as a matrix product. This skips the padding, which is
 * more than half of what a kernel covers here, and reads the weights once for each batch; for a convolution, runtimes
 * read them once for each image.
 * @param x float32 [N, C, 2, 2]
 * @param name of the matrix; the bias is named `<name>.bias`.
 * @returns float32 [N, out, 2, 2]
 */
export function addDenseConvolution(
  graph: Graph,
  x: Value,
  { kernel, bias }: ConvolutionWeights,
  name: string,
): Value {
  const { op } = graph;
  const positions = denseSide ** 2;
  const channels = x.shape[1] as number;
  const inner = channels * positions;
  const outer = bias.length * positions;
  const matrix = new Float32Array(inner * outer);
  for (let plane = 0; plane < kernel.length / 9; plane++) {
    const [out, channel] = [Math.floor(plane / channels), plane % channels];
    for (let to = 0; to < positions; to++) {
      for (let from = 0; from < positions; from++) {
        const tap = 3 * (1 + rowOf(from) - rowOf(to)) + 1 + columnOf(from) - columnOf(to);
        matrix[(channel * positions + from) * outer + out * positions + to] = kernel[
          9 * plane + tap
        ] as number;
      }
    }
  }
  const biases = Float32Array.from({ length: outer }, (_, at) => bias[Math.floor(at / positions)] as number);
  const weights = graph.constant({ type: 'float32', shape: [inner, outer], data: matrix }, name);
  const shift = graph.constant({ type: 'float32', shape: [outer], data: biases }, `${name}.bias`);
  const product = op.Add(op.MatMul(op.Reshape(x, [0, inner]), weights), shift);
  return op.Reshape(product, [0, bias.length, denseSide, denseSide]);
}

const rowOf = (position: number): number => Math.floor(position / denseSide);
const columnOf = (position: number): number => position % denseSide;
