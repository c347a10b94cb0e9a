/**
 * Reads the long lists of numbers in a JSON text before the rest is parsed. As JavaScript values, 128 MiB of numbers
 * take 1.5 GiB, and collecting that garbage holds every thread of the process; as bytes they take 64 MiB.
 */
import { randomUUID } from 'node:crypto';
import { ProblemError } from '../plugins/problems.js';
import { badRequest } from './inputs.js';

/** A text without its long lists. */
export interface ShortJson {
  readonly json: string;
  /** The numbers of each list, flat, by the string that is in its place. */
  readonly lists: ReadonlyMap<string, Uint8Array>;
}

/** A list of fewer bytes stays in the text. */
const longBytes = 4096;

/** Values that the rest may have: far more than any request needs. */
const mostValues = 1_000_000;

/** No tensor has more dimensions; a list in them is refused as an element. */
export const mostDimensions = 5;

const quote = 0x22;
const comma = 0x2c;
const zero = 0x30;
const nine = 0x39;
const open = 0x5b;
const backslash = 0x5c;
const close = 0x5d;
const openObject = 0x7b;

/** @throws ProblemError if a long list has other elements than whole numbers from 0 to 255, or the rest is too long. */
export function takeNumberLists(json: Buffer): ShortJson {
  const lists = new Map<string, Uint8Array>();
  const pieces: string[] = [];
  // A number takes two bytes of the text at least. Memory that is never written costs nothing.
  let free = new Uint8Array(json.length < longBytes ? 0 : json.length >> 1);
  let kept = 0;
  let values = 0;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at];
    if (byte === quote) at = endOfString(json, at);
    else if (byte === comma || byte === openObject) values++;
    else if (byte === open) {
      values++;
      const list = readList(json, at, free);
      if (!list) continue;
      const name = randomUUID();
      lists.set(name, free.subarray(0, list.count));
      free = free.subarray(list.count);
      pieces.push(json.toString('utf8', kept, at), `"${name}"`);
      kept = list.end;
      at = kept - 1;
    }
    if (values > mostValues) {
      throw new ProblemError(
        'too-many-bytes',
        `the JSON has more than ${mostValues} values; send tensors as binary data, UINT8 or BYTES`,
      );
    }
  }
  pieces.push(json.toString('utf8', kept));
  return { json: pieces.join(''), lists };
}

/** Returns the place of the quote that ends a string. */
function endOfString(json: Buffer, start: number): number {
  for (let at = start + 1; ; at++) {
    at = json.indexOf(quote, at);
    if (at < 0) return json.length;
    let before = at;
    while (json[before - 1] === backslash) before--;
    if ((at - before) % 2 === 0) return at;
  }
}

/**
 * Reads a list of numbers, flat or nested.
 *
 * @param start the place of its first bracket.
 * @param into where the numbers go.
 * @returns how many there are and the place after the list; undefined if it is short, or starts with other values.
 */
function readList(
  json: Buffer,
  start: number,
  into: Uint8Array,
): { readonly count: number; readonly end: number } | undefined {
  let count = 0;
  let depth = 0;
  // Whether a number or a list is next; otherwise a comma or a closing bracket.
  let isNext = true;
  for (let at = start; at < json.length; at++) {
    const byte = json[at] as number;
    if (byte <= 32) continue;
    if (isNext && byte >= zero && byte <= nine) {
      let number = byte - zero;
      for (let digit = json[at + 1] as number; digit >= zero && digit <= nine && number > 0; ) {
        number = 10 * number + digit - zero;
        digit = json[++at + 1] as number;
      }
      if (number > 255) return unreadable(json, start, at);
      into[count++] = number;
      isNext = false;
    } else if (isNext && byte === open && depth < mostDimensions) {
      depth++;
    } else if (!isNext && byte === comma) {
      isNext = true;
    } else if (byte === close && (!isNext || json[at - 1] === open)) {
      isNext = false;
      if (--depth > 0) continue;
      return at - start < longBytes ? undefined : { count, end: at + 1 };
    } else {
      return unreadable(json, start, at);
    }
  }
  return undefined;
}

/** @throws ProblemError if the list is long. */
function unreadable(json: Buffer, start: number, at: number): undefined {
  if (at - start < longBytes) return undefined;
  let from = at;
  while (from > start && json[from - 1] !== comma && json[from - 1] !== open) from--;
  const [token = ''] = json.toString('utf8', from, at + 40).split(/[,\]]/);
  throw badRequest(
    `a list of numbers in the JSON must have whole numbers from 0 to 255 (UINT8), separated by commas, not ${token.trim().slice(0, 40) || `'${String.fromCharCode(json[at] as number)}'`}`,
  );
}
