/** Work on a list, with some items in work at once. */
import { cores } from './cores.js';

/** Images in work at once: each core decodes one, while others are read and scored. They may be large. */
export const filesAtOnce = Math.min(8, cores() + 2);

/**
 * Does work on items and yields the results in their order. While one result is used, the next items are in work: at most
 * `most` of them, however long the list is.
 * @throws the error of the first item that failed, when its turn comes.
 */
export async function* workAhead<Item, Result>(
  items: readonly Item[],
  most: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const begun: Promise<Result>[] = [];
  let next = 0;
  for (;;) {
    while (begun.length < most && next < items.length) {
      const result = work(items[next++] as Item);
      // Its error is thrown in its turn.
      result.catch(() => undefined);
      begun.push(result);
    }
    const first = begun.shift();
    if (!first) return;
    yield await first;
  }
}
