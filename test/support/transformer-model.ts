/** A vision transformer as exporters write it: with arithmetic on shapes, a class token, and a position embedding that is resized. */
import { type ForeignTestModel, ModelWriter } from './foreign-models.js';

const channels = 12;
const heads = 3;
/** Along each side of the position embedding. */
const embedded = 3;

/**
 * Returns a model of two blocks, one with the parts of a layer normalization and one with the operator.
 * @param patch side of its patches, in pixels.
 */
export function transformerModel(size: number, patch: number): ForeignTestModel {
  const model = new ModelWriter();
  const weights = (...shape: number[]): string => model.floats(shape, (noise) => 0.3 * noise);
  const grid = size / patch;
  const cut = { kernel_shape: [patch, patch], strides: [patch, patch] };
  const planes = model.node('Conv', ['image', weights(channels, 3, patch, patch), weights(channels)], cut);
  const sizeOf = (x: string, axis: number): string =>
    model.node('Gather', [model.node('Shape', [x]), model.int(axis)], { axis: 0 });
  const list = (...parts: readonly (string | number)[]): string => {
    const vectors = parts.map((part) =>
      typeof part === 'number' ? model.ints([part]) : model.node('Unsqueeze', [part, model.ints([0])]),
    );
    return model.node('Concat', vectors, { axis: 0 });
  };
  const [batch, rows, columns] = [0, 2, 3].map((axis) => sizeOf(planes, axis)) as [string, string, string];

  // [N, C, h, w] to [N, h w, C], with the class token before them.
  const flat = model.node('Reshape', [planes, list(batch, channels, -1)]);
  const tokens = model.node('Transpose', [flat], { perm: [0, 2, 1] });
  const wanted = list(batch, -1, -1);
  const ones = model.node('Where', [
    model.node('Equal', [wanted, model.ints([-1])]),
    model.ints([1, 1, 1]),
    wanted,
  ]);
  const classToken = model.node('Expand', [weights(1, 1, channels), ones]);
  const all = model.node('Concat', [classToken, tokens], { axis: 1 });

  const square = model.node('Reshape', [
    weights(1, embedded ** 2, channels),
    model.ints([1, embedded, embedded, channels]),
  ]);
  const resized = model.node(
    'Resize',
    [model.node('Transpose', [square], { perm: [0, 3, 1, 2] }), '', '', list(1, channels, rows, columns)],
    { mode: 'cubic', coordinate_transformation_mode: 'half_pixel', cubic_coeff_a: -0.75 },
  );
  const places = model.node('Reshape', [
    model.node('Transpose', [resized], { perm: [0, 2, 3, 1] }),
    model.ints([1, -1, channels]),
  ]);
  const positions = model.node('Concat', [weights(1, 1, channels), places], { axis: 1 });
  const start = model.node('Add', [all, positions]);

  const normalizedByParts = (x: string): string => {
    const centered = model.node('Sub', [x, model.node('ReduceMean', [x], { axes: [-1], keepdims: 1 })]);
    const squares = model.node('Pow', [centered, model.floats([], () => 2)]);
    const variance = model.node('ReduceMean', [squares], { axes: [-1], keepdims: 1 });
    const deviation = model.node('Sqrt', [model.node('Add', [variance, model.floats([], () => 1e-6)])]);
    return model.node('Mul', [model.node('Div', [centered, deviation]), weights(channels)]);
  };
  const normalized = (x: string): string =>
    model.node('LayerNormalization', [x, weights(channels), weights(channels)], { axis: -1 });
  const linear = (x: string, into: number, out: number): string =>
    model.node('Add', [model.node('MatMul', [x, weights(into, out)]), weights(out)]);

  const attention = (x: string): string => {
    const split = [channels, channels, channels];
    const three = linear(x, channels, 3 * channels);
    const parts = model.nodes('Split', [three, model.ints(split)], { axis: 2 }, 3);
    const [query, key, value] = parts.map((part) =>
      model.node(
        'Transpose',
        [model.node('Reshape', [part, list(sizeOf(part, 0), sizeOf(part, 1), heads, channels / heads)])],
        { perm: [0, 2, 1, 3] },
      ),
    ) as [string, string, string];
    const products = model.node('MatMul', [query, model.node('Transpose', [key], { perm: [0, 1, 3, 2] })]);
    const shares = model.node('Softmax', [model.node('Div', [products, model.floats([], () => 2)])], {
      axis: -1,
    });
    const joined = model.node('Transpose', [model.node('MatMul', [shares, value])], { perm: [0, 2, 1, 3] });
    const row = model.node('Reshape', [joined, list(sizeOf(x, 0), sizeOf(x, 1), channels)]);
    return linear(row, channels, channels);
  };
  const gelu = (x: string): string => {
    const share = model.node('Erf', [model.node('Div', [x, model.floats([], () => Math.SQRT2)])]);
    const raised = model.node('Mul', [x, model.node('Add', [share, model.floats([], () => 1)])]);
    return model.node('Mul', [raised, model.floats([], () => 0.5)]);
  };
  const block = (x: string, norm: (x: string) => string, output: string): string => {
    const attended = model.node('Add', [attention(norm(x)), x]);
    const wide = gelu(linear(norm(attended), channels, 2 * channels));
    return model.node('Add', [linear(wide, 2 * channels, channels), attended], {}, output);
  };
  const one = block(start, normalizedByParts, 'block1');
  const two = block(one, normalized, 'block2');
  const shape = [1, 1 + grid * grid, channels];
  // The class token alone, and all others without their batch.
  model.node('Gather', [two, model.int(0)], { axis: 1 }, 'class');
  const layers = [
    ['block1', shape],
    ['block2', shape],
    ['class', [1, channels]],
  ] as const;
  return { layers, bytes: model.bytes(size, layers) };
}

/** Channels of the grid that its tokens become. */
export const transformerChannels = 2 * channels;
