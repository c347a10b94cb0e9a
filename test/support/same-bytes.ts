/** tap's own comparison walks arrays entry by entry, which takes seconds for images and weights. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
