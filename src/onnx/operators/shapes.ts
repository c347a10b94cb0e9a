/** Operators that read or change shapes, or move, repeat or cut entries. */
import { broadcast, elementCount, reshape, sameShape, sliceRange } from '../shapes.js';
import type { Dim } from '../types.js';
import { describe, type NodeSink, type Value } from '../value.js';
import { addNode, checkFloat, imageDims, int, ints, normalAxes, refusal, text } from './checks.js';

export function shapeOperators(graph: NodeSink) {
  const shapeOf = (x: Value): Value =>
    addNode(graph, 'Shape', [x], {}, { type: 'int64', shape: [x.shape.length] });
  return {
    /** The sizes of `x`, an int64 vector. */
    Shape: shapeOf,

    /** The number of elements of `x`, an int64 scalar. */
    Size(x: Value): Value {
      return addNode(graph, 'Size', [x], {}, { type: 'int64', shape: [] });
    },

    /** `shape` as in the specification: 0 copies a dimension of `x`, one -1 is inferred. */
    Reshape(x: Value, shape: readonly number[]): Value {
      const result = reshape(x.shape, shape);
      if (!result) throw refusal('Reshape', `${describe(x)} cannot have the shape [${shape.join(', ')}]`);
      return addNode(graph, 'Reshape', [x, graph.ints(shape)], {}, { type: x.type, shape: result });
    },

    /** Reshapes `x` to the sizes that `like` has when the graph runs. */
    ReshapeLike(x: Value, like: Value): Value {
      if (elementCount(x.shape) !== elementCount(like.shape)) {
        throw refusal('Reshape', `${describe(x)} cannot have the shape of ${describe(like)}`);
      }
      return addNode(graph, 'Reshape', [x, shapeOf(like)], {}, { type: x.type, shape: like.shape });
    },

    /** Broadcasts `x` to the sizes of `like`. */
    ExpandLike(x: Value, like: Value): Value {
      const result = broadcast(x.shape, like.shape);
      if (!result || !sameShape(result, like.shape)) {
        throw refusal('Expand', `${describe(x)} does not broadcast to ${describe(like)}`);
      }
      return addNode(graph, 'Expand', [x, shapeOf(like)], {}, { type: x.type, shape: like.shape });
    },

    /** Broadcasts `x` to sizes; those that are symbols are sizes of `from`, known when the graph runs. */
    Expand(x: Value, sizes: readonly Dim[], from: Value): Value {
      const result = broadcast(x.shape, sizes);
      if (!result) throw refusal('Expand', `${describe(x)} does not broadcast to [${sizes.join(', ')}]`);
      const parts = sizes.map((size) => {
        if (typeof size === 'number') return graph.ints([size]);
        const axis = from.shape.indexOf(size);
        if (axis < 0) throw refusal('Expand', `${describe(from)} has no dimension ${size}`);
        const part = { type: 'int64' as const, shape: [1] };
        return addNode(
          graph,
          'Slice',
          [shapeOf(from), ...[axis, axis + 1, 0].map((at) => graph.ints([at]))],
          {},
          part,
        );
      });
      const shape = { type: 'int64' as const, shape: [sizes.length] };
      const target = addNode(graph, 'Concat', parts, { axis: int(0) }, shape);
      return addNode(graph, 'Expand', [x, target], {}, { type: x.type, shape: result });
    },

    Transpose(x: Value, perm: readonly number[]): Value {
      const rank = x.shape.length;
      if (perm.length !== rank || new Set(perm).size !== rank || perm.some((axis) => !(axis in x.shape))) {
        throw refusal('Transpose', `[${perm.join(', ')}] is not a permutation of the axes of ${describe(x)}`);
      }
      const shape = perm.map((axis) => x.shape[axis] as Dim);
      return addNode(graph, 'Transpose', [x], { perm: ints(perm) }, { type: x.type, shape });
    },

    Unsqueeze(x: Value, axes: readonly number[]): Value {
      const rank = x.shape.length + axes.length;
      const at = normalAxes('Unsqueeze', axes, rank);
      const rest = [...x.shape];
      const shape = Array.from({ length: rank }, (_, axis) =>
        at.includes(axis) ? 1 : (rest.shift() as Dim),
      );
      return addNode(graph, 'Unsqueeze', [x, graph.ints(axes)], {}, { type: x.type, shape });
    },

    Squeeze(x: Value, axes: readonly number[]): Value {
      const at = normalAxes('Squeeze', axes, x.shape.length);
      if (at.some((axis) => x.shape[axis] !== 1)) {
        throw refusal('Squeeze', `axes [${axes.join(', ')}] of ${describe(x)} are not all 1`);
      }
      const shape = x.shape.filter((_, axis) => !at.includes(axis));
      return addNode(graph, 'Squeeze', [x, graph.ints(at)], {}, { type: x.type, shape });
    },

    /** Part of `x`: from `starts` to before `ends`, along `axes`, by `steps` (default 1). */
    Slice(
      x: Value,
      starts: readonly number[],
      ends: readonly number[],
      axes: readonly number[],
      steps: readonly number[] = axes.map(() => 1),
    ): Value {
      if (starts.length !== axes.length || ends.length !== axes.length || steps.length !== axes.length) {
        throw refusal('Slice', `starts, ends, axes and steps of ${describe(x)} differ in length`);
      }
      const shape = [...x.shape];
      for (const [index, axis] of normalAxes('Slice', axes, shape.length).entries()) {
        const size = shape[axis];
        if (typeof size !== 'number') throw refusal('Slice', `axis ${axis} of ${describe(x)} must be known`);
        const step = steps[index] as number;
        if (!Number.isInteger(step) || step === 0)
          throw refusal('Slice', `step ${step} along axis ${axis}; wanted a whole number, not 0`);
        shape[axis] = sliceRange(size, starts[index] as number, ends[index] as number, step).count;
      }
      const lists = [starts, ends, axes, steps].map((list) => graph.ints(list));
      return addNode(graph, 'Slice', [x, ...lists], {}, { type: x.type, shape });
    },

    /** Zero padding: `pads` holds the number of zeros before each axis, then after each axis. */
    Pad(x: Value, pads: readonly number[]): Value {
      const rank = x.shape.length;
      if (pads.length !== 2 * rank) {
        throw refusal('Pad', `${pads.length} pads for ${describe(x)}; wanted ${2 * rank}`);
      }
      const shape = x.shape.map((size, axis) => {
        const added = (pads[axis] as number) + (pads[axis + rank] as number);
        if (added === 0) return size;
        if (typeof size !== 'number') throw refusal('Pad', `axis ${axis} of ${describe(x)} must be known`);
        return size + added;
      });
      return addNode(
        graph,
        'Pad',
        [x, graph.ints(pads)],
        { mode: text('constant') },
        { type: x.type, shape },
      );
    },

    Concat(values: readonly Value[], axis: number): Value {
      const [first] = values;
      if (!first) throw refusal('Concat', 'nothing to concatenate');
      const [at] = normalAxes('Concat', [axis], first.shape.length) as [number];
      let size = 0;
      for (const value of values) {
        const along = value.shape[at];
        const others = first.shape.map((dim, index) => (index === at ? (along ?? dim) : dim));
        if (value.type !== first.type || typeof along !== 'number' || !sameShape(others, value.shape)) {
          throw refusal('Concat', `${describe(value)} does not fit ${describe(first)} along axis ${at}`);
        }
        size += along;
      }
      const shape = first.shape.map((dim, index) => (index === at ? size : dim));
      return addNode(graph, 'Concat', values, { axis: int(at) }, { type: first.type, shape });
    },

    /** Repeats every entry of an image [N, C, H, W] `times` along height and width (nearest neighbor). */
    Resize(x: Value, times: readonly [number, number]): Value {
      checkFloat('Resize', x);
      const [batch, channels, height, width] = imageDims('Resize', x);
      if (times.some((factor) => !Number.isInteger(factor) || factor < 1)) {
        throw refusal('Resize', `factors [${times.join(', ')}]; wanted whole numbers from 1`);
      }
      const attributes = {
        mode: text('nearest'),
        coordinate_transformation_mode: text('asymmetric'),
        nearest_mode: text('floor'),
      };
      const shape = [batch, channels, height * times[0], width * times[1]];
      const inputs = [x, undefined, graph.floats([1, 1, ...times])];
      return addNode(graph, 'Resize', inputs, attributes, { type: x.type, shape });
    },

    /** `data` with `updates` written or added at positions `indices` along axis 0. */
    ScatterElements(data: Value, indices: Value, updates: Value, reduction: 'none' | 'add'): Value {
      if (
        indices.type !== 'int64' ||
        updates.type !== data.type ||
        !sameShape(indices.shape, updates.shape)
      ) {
        throw refusal('ScatterElements', `${describe(data)}, ${describe(indices)}, ${describe(updates)}`);
      }
      const attributes = { axis: int(0), reduction: text(reduction) };
      const output = { type: data.type, shape: data.shape };
      return addNode(graph, 'ScatterElements', [data, indices, updates], attributes, output);
    },
  };
}
