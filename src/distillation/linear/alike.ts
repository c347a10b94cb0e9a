/** Several photos of one part among the good ones, told by their names and by how much they are alike. */
import { basename } from 'node:path';
import type { Products } from './products.js';

/** Ways in which people name photos of one part: what comes before the first or the last separator. */
const patterns = ['^([^-_ ]+)[-_ ]', '^(.+)[-_ ]'];

/** Fewer parts are no evidence. */
const fewestParts = 4;

/**
 * Photos of one part are much more alike: half of them are so much closer to another one of the part than to any other photo, as
 * a share of the squared distance. It is 0.30 where six photos show one tile, and 0.78 to 1.12 in blocks of other photos.
 */
const closeShare = 0.5;

/** A pattern of file names, for `groupBy`, and the number of parts that it tells apart. */
export interface ProposedGroups {
  readonly pattern: string;
  readonly parts: number;
}

/** Returns how photos seem to belong together, if they do. @param vectors of the photos, any span. */
export async function proposeGroups(
  products: Products,
  paths: readonly string[],
  vectors: readonly Float32Array[],
): Promise<ProposedGroups | undefined> {
  const named = patterns.flatMap((pattern) => {
    const names = paths.map((path) => new RegExp(pattern).exec(basename(path))?.[1]);
    const parts = new Set(names).size;
    const usable = !names.includes(undefined) && parts >= fewestParts && parts < paths.length;
    return usable ? [{ pattern, parts, names: names as string[] }] : [];
  });
  if (named.length === 0) return undefined;
  const distances = await distancesOf(products, vectors);
  return named.find(({ names }) => medianShare(names, distances) <= closeShare);
}

/** Returns the squared distances of all pairs, [n, n]. */
async function distancesOf(products: Products, vectors: readonly Float32Array[]): Promise<Float64Array> {
  const count = vectors.length;
  const [first] = vectors as readonly [Float32Array];
  // Less the first one, so that the products are not much larger than the distances.
  const data = new Float32Array(count * first.length);
  for (const [row, vector] of vectors.entries()) {
    for (const [at, value] of vector.entries()) data[row * first.length + at] = value - (first[at] as number);
  }
  const rows = { count, data };
  const gram = await products.ofRows(rows, rows);
  const square = (at: number): number => gram[at * count + at] as number;
  return Float64Array.from(gram, (product, at) => {
    const [row, column] = [Math.floor(at / count), at % count];
    return Math.max(square(row) + square(column) - 2 * product, 0);
  });
}

/** Returns the median over photos of the distance to the nearest of its part, as a share of that to the nearest other one. */
function medianShare(names: readonly string[], distances: Float64Array): number {
  const count = names.length;
  const shares = names.flatMap((name, row) => {
    let [inside, outside] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
    for (let column = 0; column < count; column++) {
      if (column === row) continue;
      const distance = distances[row * count + column] as number;
      if (names[column] === name) inside = Math.min(inside, distance);
      else outside = Math.min(outside, distance);
    }
    return Number.isFinite(inside) ? [inside / Math.max(outside, Number.EPSILON)] : [];
  });
  shares.sort((a, b) => a - b);
  return shares[Math.floor(shares.length / 2)] ?? Number.POSITIVE_INFINITY;
}
