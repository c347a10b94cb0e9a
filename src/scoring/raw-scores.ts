/** Scores as they leave the graph. */
import { tensorNames } from '../networks/index.js';
import { concatenated, float32Data, type Tensors } from '../runtime/index.js';

const { outputs: names } = tensorNames;

/** `score` and `peak` [N]; `value` and `direction` [N, L]; `map` [N, H, W]. */
export interface RawScores {
  readonly score: Float32Array;
  readonly value: Float32Array;
  readonly direction: Float32Array;
  /** Largest entry of the discrepancy map, if there is one. */
  readonly peak?: Float32Array;
  readonly map?: Float32Array;
}

/** Returns a graph's outputs as scores. @param withMap whether the map was computed. */
export function rawScores(outputs: Tensors, withMap: boolean): RawScores {
  return {
    score: float32Data(outputs, names.score),
    value: float32Data(outputs, names.value),
    direction: float32Data(outputs, names.direction),
    ...(withMap && outputs[names.peak] ? { peak: float32Data(outputs, names.peak) } : {}),
    ...(withMap ? { map: float32Data(outputs, names.map) } : {}),
  };
}

/** Returns the scores of the first `count` of `images` images. */
export function firstRows(scores: RawScores, images: number, count: number): RawScores {
  const first = Object.entries(scores).map(([name, entries]: [string, Float32Array]) => [
    name,
    entries.slice(0, (entries.length / images) * count),
  ]);
  return Object.fromEntries(first) as unknown as RawScores;
}

/** Returns the rows of one output, each of an image of its own, one after another; empty if there is no such output. */
export function rowsOf(
  images: readonly { readonly outputs: RawScores; readonly index: number }[],
  name: Exclude<keyof RawScores, 'map'>,
): Float32Array {
  return concatenated(
    images.map(({ outputs, index }) => {
      const entries = outputs[name] ?? new Float32Array();
      const columns = entries.length / outputs.score.length;
      return entries.subarray(index * columns, (index + 1) * columns);
    }),
  );
}
