/** Gradients of operators that move, repeat or cut entries. */
import { type Dim, GraphError } from '../onnx/index.js';
import { constantInts, type GradientRule, type GradientRules } from './rule.js';

/** y = x in another shape */
const reshape: GradientRule = ({ op, grad, input }) => [op.ReshapeLike(grad, input(0))];

export const shapeRules: GradientRules = {
  Reshape: reshape,
  Squeeze: reshape,
  Unsqueeze: reshape,

  /** y = x broadcast. addGradients sums the gradient to the shape of x. */
  Expand: ({ grad }) => [grad],

  /** y = x with its axes in another order; the gradient uses the inverse order */
  Transpose: ({ op, node, grad }) => {
    const perm = node.attributes.perm;
    const order = perm?.kind === 'ints' ? perm.value : [];
    const inverse = order.map((_, axis) => order.indexOf(axis));
    return [op.Transpose(grad, inverse)];
  },

  /** y = concatenated parts; each part gets its slice of the gradient */
  Concat: ({ op, node, grad, input, needs }) => {
    const axis = node.attributes.axis?.kind === 'int' ? node.attributes.axis.value : 0;
    let start = 0;
    return node.inputs.map((_, index) => {
      const from = start;
      start += input(index).shape[axis] as number;
      return needs(index) ? op.Slice(grad, [from], [start], [axis]) : undefined;
    });
  },

  /** y = x[starts:ends]; the gradient is padded with zeros where x was cut */
  Slice: ({ op, node, grad, input }) => {
    const [starts, , axes, steps] = [1, 2, 3, 4].map((index) => constantInts(input(index), node)) as [
      number[],
      number[],
      number[],
      number[],
    ];
    const x = input(0);
    const rank = x.shape.length;
    const pads = new Array<number>(2 * rank).fill(0);
    for (const [index, axis] of axes.entries()) {
      if (steps[index] !== 1) {
        throw new GraphError(
          `Slice node ${node.name}: no gradient for step ${steps[index]}; only for step 1`,
        );
      }
      const at = axis < 0 ? axis + rank : axis;
      const size = x.shape[at] as Dim as number;
      const start = starts[index] as number;
      const before = Math.min(Math.max(start < 0 ? start + size : start, 0), size);
      pads[at] = before;
      pads[at + rank] = size - before - (grad.shape[at] as number);
    }
    return [op.Pad(grad, pads)];
  },

  /** y = x with zeros around it; the gradient of the zeros is cut off */
  Pad: ({ op, node, grad, input }) => {
    const pads = constantInts(input(1), node);
    const shape = input(0).shape;
    const axes = [...shape.keys()].filter((axis) => pads[axis] !== 0 || pads[axis + shape.length] !== 0);
    const starts = axes.map((axis) => pads[axis] as number);
    const ends = axes.map((axis, index) => (starts[index] as number) + (shape[axis] as number));
    return [axes.length === 0 ? grad : op.Slice(grad, starts, ends, axes)];
  },

  /** y repeats every entry of an image; the gradient is the sum over the repetitions */
  Resize: ({ op, grad, input }) => {
    const [height, width] = input(0).shape.slice(2) as [number, number];
    const [tall, wide] = grad.shape.slice(2) as [number, number];
    const blocks = op.Reshape(grad, [-1, height, tall / height, width, wide / width]);
    return [op.ReshapeLike(op.ReduceSum(blocks, [2, 4]), input(0))];
  },
};
