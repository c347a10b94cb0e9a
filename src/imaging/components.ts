/** Connected components of a mask: which set pixels belong together. */

export interface Components {
  /** 0 outside the mask, else 1 to `count`, numbered in reading order. */
  readonly labels: Int32Array;
  readonly count: number;
}

/**
 * Labels the connected parts of a mask; pixels that touch at a corner belong together, as in MVTec AD's own
 * evaluation.
 * @param mask row-major, `width` pixels a row; whatever is not 0 is set.
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

/** The up to eight pixels around one. */
function* neighbors(pixel: number, width: number, length: number): Generator<number> {
  const column = pixel % width;
  for (const row of [pixel - column - width, pixel - column, pixel - column + width]) {
    if (row < 0 || row >= length) continue;
    for (let x = Math.max(0, column - 1); x <= Math.min(width - 1, column + 1); x++) {
      if (row + x !== pixel) yield row + x;
    }
  }
}
