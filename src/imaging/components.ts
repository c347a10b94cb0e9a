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
      const column = pixel % width;
      const left = column > 0 ? -1 : 0;
      const right = column < width - 1 ? 1 : 0;
      const first = pixel < width ? pixel : pixel - width;
      const last = pixel + width < mask.length ? pixel + width : pixel;
      for (let row = first; row <= last; row += width) {
        for (let near = row + left; near <= row + right; near++) {
          if (!mask[near] || labels[near]) continue;
          labels[near] = count;
          waiting.push(near);
        }
      }
    }
  }
  return { labels, count };
}
