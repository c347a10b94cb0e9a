/** Gradients of pooling. */
import { type ConstantTensor, maxPoolIndices, type Node, type Value } from '../onnx/index.js';
import type { GradientRules, RuleContext } from './rule.js';

export const poolingRules: GradientRules = {
  /**
   * y = largest value of each window. The gradient goes to the position of the maximum; at a tie to the first one, as
   * in PyTorch. Gradients of overlapping windows add up.
   */
  MaxPool: (context) => {
    const window = tilingWindow(context.node);
    return [window ? maskedGrad(context, window) : scatteredGrad(context)];
  },

  /** y = R x C^T, where a row of R or C holds what each position gives to a window; so dx = R^T dy C. */
  AveragePool: ({ graph, op, node, grad, input, output }) => {
    const { kernel_shape, strides } = node.attributes;
    if (kernel_shape?.kind !== 'ints' || strides?.kind !== 'ints') return [undefined];
    const [from, to] = [imageSize(input(0)), imageSize(output(0))];
    const shares = (axis: 0 | 1): ConstantTensor => {
      const [side, stride] = [kernel_shape.value[axis] as number, strides.value[axis] as number];
      const data = new Float32Array(to[axis] * from[axis]);
      for (let at = 0; at < to[axis]; at++) {
        data.fill(1 / side, at * from[axis] + at * stride, at * from[axis] + at * stride + side);
      }
      return { type: 'float32', shape: [to[axis], from[axis]], data };
    };
    const rows = op.Transpose(graph.constant(shares(0)), [1, 0]);
    return [op.MatMul(op.MatMul(rows, grad), graph.constant(shares(1)))];
  },
};

/** General case: scatters the gradient to the positions of the maxima. */
function scatteredGrad({ graph, op, node, grad, input }: RuleContext): Value {
  const flatInput = op.Reshape(input(0), [-1]);
  const zeros = op.ExpandLike(graph.scalar(0), flatInput);
  const positions = op.Reshape(maxPoolIndices(node), [-1]);
  const scattered = op.ScatterElements(zeros, positions, op.Reshape(grad, [-1]), 'add');
  return op.ReshapeLike(scattered, input(0));
}

/**
 * Faster case, for windows that tile the image: masks the repeated gradient. On the CPU this takes half the time of
 * scattering, and a pooling without indices a tenth of the time of one with indices. With one channel for each image,
 * onnxruntime does not convert every step to its blocked layout and back.
 */
function maskedGrad({ graph, op, grad, input, output }: RuleContext, window: Window): Value {
  const planes = (x: Value): Value => op.Reshape(x, [-1, 1, ...imageSize(x)]);
  const repeat = (pooled: Value): Value => op.Resize(pooled, window);
  const atMaximum = op.Cast(op.Equal(planes(input(0)), repeat(planes(output(0)))), grad.type);
  // Ranks fall from the first entry of a window to its last, so the highest rank at a maximum is the first one.
  const ranks = op.Mul(atMaximum, windowRanks(graph, imageSize(input(0)), window));
  const highest = op.MaxPool(ranks, { kernel_shape: window, strides: window });
  const first = op.Cast(op.Equal(ranks, repeat(highest)), grad.type);
  return op.ReshapeLike(op.Mul(first, repeat(planes(grad))), input(0));
}

type Window = readonly [number, number];

/** Returns the window size if the windows cover the input exactly once, else undefined. */
function tilingWindow({ inputs, attributes }: Node): Window | undefined {
  const { kernel_shape, strides, pads } = attributes;
  if (kernel_shape?.kind !== 'ints' || strides?.kind !== 'ints' || pads?.kind !== 'ints') return undefined;
  const [rows, columns] = kernel_shape.value as [number, number];
  const [height, width] = imageSize(inputs[0] as Value);
  const covered = height % rows === 0 && width % columns === 0 && pads.value.every((pad) => pad === 0);
  return covered && strides.value.join() === kernel_shape.value.join() ? [rows, columns] : undefined;
}

/** Returns [1, 1, H, W]: in every window, ranks in reading order down to 1. */
function windowRanks(
  graph: RuleContext['graph'],
  [height, width]: readonly [number, number],
  [rows, columns]: Window,
): Value {
  const data = Float32Array.from({ length: height * width }, (_, at) => {
    const [y, x] = [Math.floor(at / width) % rows, (at % width) % columns];
    return rows * columns - (y * columns + x);
  });
  return graph.constant({ type: 'float32', shape: [1, 1, height, width], data });
}

/** Returns height and width of [N, C, H, W]. */
function imageSize({ shape }: Value): readonly [number, number] {
  return shape.slice(2) as [number, number];
}
