/** Connected components of a mask. */

export interface Components {
  /** 0 outside the mask, else 1 to `count`, numbered in reading order. */
  readonly labels: Int32Array;
  readonly count: number;
}

/**
 * Labels the connected parts of a mask with 8-connectivity, as in MVTec AD's own evaluation.
 * @param mask row-major, `width` pixels a row; pixels other than 0 are set.
 */
export function labelComponents(mask: ArrayLike<number>, width: number): Components {
  const labels = new Int32Array(mask.length);
  const waiting: number[] = [];
  let count = 0;
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || labels[start]) continue;
    count++;
    labels[start] = count;
    waiting.push(start);
    for (let pixel = waiting.pop(); pixel !== undefined; pixel = waiting.pop()) {
      for (const neighbor of neighbors(pixel, width, mask.length)) {
        if (!mask[neighbor] || labels[neighbor]) continue;
        labels[neighbor] = count;
        waiting.push(neighbor);
      }
    }
  }
  return { labels, count };
}

/** Yields the up to eight neighbors of a pixel. */
function* neighbors(pixel: number, width: number, length: number): Generator<number> {
  const column = pixel % width;
  for (const row of [pixel - column - width, pixel - column, pixel - column + width]) {
    if (row < 0 || row >= length) continue;
    for (let x = Math.max(0, column - 1); x <= Math.min(width - 1, column + 1); x++) {
      if (row + x !== pixel) yield row + x;
    }
  }
}
