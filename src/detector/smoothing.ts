/** Gaussian smoothing of localization maps, in the graph. */
import type { Graph, Value } from '../onnx/index.js';

/** Standard deviation as a share of the shorter side: 4 pixels at 128 (MKD, section 4.3). */
export const smoothingShare = 4 / 128;

/** Standard deviations after which the kernel is cut off, as in SciPy. */
const reach = 4;

/**
 * Adds a separable Gaussian. Pixels outside the image have no weight, so borders do not darken.
 * @param maps float32 [N, 1, H, W]
 * @param share standard deviation as a share of the shorter side.
 */
export function addGaussianSmoothing(graph: Graph, maps: Value, share: number = smoothingShare): Value {
  const { op } = graph;
  const [height, width] = maps.shape.slice(2) as [number, number];
  const kernel = gaussianKernel(Math.min(height, width) * share);
  const radius = (kernel.length - 1) / 2;
  const along = (x: Value, shape: readonly [number, number]): Value => {
    const weights = graph.constant({
      type: 'float32',
      shape: [1, 1, ...shape],
      data: Float32Array.from(kernel),
    });
    const pads = shape[0] === 1 ? ([0, radius, 0, radius] as const) : ([radius, 0, radius, 0] as const);
    return op.Conv(x, weights, undefined, { pads });
  };
  const smoothed = along(along(maps, [kernel.length, 1]), [1, kernel.length]);
  const [rows, columns] = [insideWeights(kernel, height), insideWeights(kernel, width)];
  const correction = Float32Array.from({ length: height * width }, (_, index) => {
    const [row, column] = [Math.floor(index / width), index % width];
    return 1 / ((rows[row] as number) * (columns[column] as number));
  });
  const shape = [1, 1, height, width];
  return op.Mul(smoothed, graph.constant({ type: 'float32', shape, data: correction }));
}

/** Returns an odd number of weights that sum to 1. */
function gaussianKernel(sigma: number): number[] {
  const radius = Math.max(1, Math.round(reach * sigma));
  const weights = Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-0.5 * ((i - radius) / sigma) ** 2),
  );
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

/** Returns the sum of the kernel weights inside the image, for each position along one axis. */
function insideWeights(kernel: readonly number[], size: number): number[] {
  const radius = (kernel.length - 1) / 2;
  return Array.from({ length: size }, (_, at) =>
    kernel.reduce((sum, weight, i) => {
      const position = at + i - radius;
      return position >= 0 && position < size ? sum + weight : sum;
    }, 0),
  );
}
