/** Decoding of float16, the type in which models and weights may be stored. */

let table: Float32Array | undefined;

/** Converts float16 bits to numbers, with a table of all 65,536 values. */
export function halfToFloat(bits: Uint16Array): Float32Array {
  table ??= Float32Array.from({ length: 0x10000 }, (_, half) => halfValue(half));
  const floats = new Float32Array(bits.length);
  for (let index = 0; index < bits.length; index++) floats[index] = table[bits[index] as number] as number;
  return floats;
}

function halfValue(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
