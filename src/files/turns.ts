/** Work of some milliseconds each, which many requests may ask for at once. */
import { setImmediate as nextTurn } from 'node:timers/promises';

let last: Promise<unknown> = Promise.resolve();

/**
 * Does a piece of work in a turn of the event loop that no other piece shares. Sixteen images of one batch are ready in
 * the same moment; done one after the other at once, their pieces would hold the event loop sixteen times as long.
 */
export function inTurn<Result>(work: () => Result): Promise<Result> {
  const result = last.then(() => nextTurn()).then(work);
  last = result.catch(() => undefined);
  return result;
}
