/** Inputs of a run, on their way to the worker that runs it. */
import { compact, type Tensor, type Tensors, uint8 } from './tensor.js';

/**
 * A uint8 tensor in parts, put together where the graph runs; what the parts do not fill is 0. Shared memory is not copied on
 * the way.
 */
export interface TensorParts {
  readonly dims: readonly number[];
  readonly parts: readonly Uint8Array[];
}

/** Inputs of one run. */
export type Feeds = Readonly<Record<string, Tensor | TensorParts>>;

/** Puts tensors in parts together. */
export function whole(feeds: Feeds): Tensors {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, feed]) => {
      if (!('parts' in feed)) return [name, feed];
      const data = new Uint8Array(feed.dims.reduce((product, size) => product * size, 1));
      let at = 0;
      for (const part of feed.parts) {
        data.set(part, at);
        at += part.length;
      }
      return [name, uint8(feed.dims, data)];
    }),
  );
}

/** Returns inputs that can be posted to a worker, see {@link compact}. */
export function postable(feeds: Feeds): Feeds {
  const tensors = Object.entries(feeds).filter((feed): feed is [string, Tensor] => 'data' in feed[1]);
  const parts = Object.entries(feeds).filter((feed): feed is [string, TensorParts] => 'parts' in feed[1]);
  return {
    ...compact(Object.fromEntries(tensors)),
    ...Object.fromEntries(
      parts.map(([name, feed]) => [name, { ...feed, parts: feed.parts.map(postablePart) }]),
    ),
  };
}

function postablePart(part: Uint8Array): Uint8Array {
  const isWhole = part.byteLength === part.buffer.byteLength;
  return isWhole || part.buffer instanceof SharedArrayBuffer ? part : new Uint8Array(part);
}
