/** Resizing of known tensors: transformers resize their position embeddings to the size of the image. */

import { GraphError } from '../types.js';
import { countOf, given, type KnownAttributes, type KnownTensor, numbersOf } from './known-arrays.js';

/** Resizes planes [..., H, W], cubic or linear, as PyTorch does with `align_corners=False`. */
export function resized(
  [x, , scales, sizes]: readonly (KnownTensor | undefined)[],
  attributes: KnownAttributes,
): KnownTensor {
  const { type, shape } = given(x);
  const [mode, transformation] = [
    attributes.text('mode', 'nearest'),
    attributes.text('coordinate_transformation_mode', 'half_pixel'),
  ];
  const kernels = { cubic: cubicWeights(attributes.float('cubic_coeff_a', -0.75)), linear: linearWeights };
  const kernel = kernels[mode as keyof typeof kernels];
  if (!kernel || !['half_pixel', 'pytorch_half_pixel'].includes(transformation)) {
    throw new GraphError(
      `mode ${mode} with ${transformation} is not supported; wanted cubic or linear, half_pixel`,
    );
  }
  const factors = scales && scales.data.length > 0 ? numbersOf(scales) : undefined;
  const target = sizes
    ? numbersOf(sizes)
    : shape.map((size, axis) => Math.floor(size * (factors?.[axis] ?? 1)));
  let data = numbersOf(given(x));
  let current = [...shape];
  for (const axis of [shape.length - 2, shape.length - 1]) {
    const [from, to] = [current[axis] as number, target[axis] as number];
    const ratio = factors ? 1 / (factors[axis] as number) : from / to;
    data = resizedAlong(data, current, axis, to, (at) => kernel((at + 0.5) * ratio - 0.5));
    current = current.map((size, at) => (at === axis ? to : size));
  }
  return { type, shape: current, data };
}

/** Of the entries around a place: the first of them, and their weights. */
type Weights = { readonly first: number; readonly weights: readonly number[] };

function cubicWeights(a: number): (place: number) => Weights {
  const near = (t: number): number => ((a + 2) * t - (a + 3)) * t * t + 1;
  const far = (t: number): number => ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  return (place) => {
    const whole = Math.floor(place);
    const t = place - whole;
    return { first: whole - 1, weights: [far(t + 1), near(t), near(1 - t), far(2 - t)] };
  };
}

function linearWeights(place: number): Weights {
  const whole = Math.floor(place);
  return { first: whole, weights: [1 - (place - whole), place - whole] };
}

function resizedAlong(
  data: readonly number[],
  shape: readonly number[],
  axis: number,
  to: number,
  weightsAt: (at: number) => Weights,
): number[] {
  const size = shape[axis] as number;
  const inner = countOf(shape.slice(axis + 1));
  const outer = countOf(shape.slice(0, axis));
  const result = new Array<number>(outer * to * inner).fill(0);
  for (let at = 0; at < to; at++) {
    const { first, weights } = weightsAt(at);
    for (const [offset, weight] of weights.entries()) {
      const from = Math.min(size - 1, Math.max(0, first + offset));
      for (let row = 0; row < outer; row++) {
        for (let entry = 0; entry < inner; entry++) {
          const place = (row * to + at) * inner + entry;
          result[place] =
            (result[place] as number) + weight * (data[(row * size + from) * inner + entry] as number);
        }
      }
    }
  }
  return result;
}
