/** Decoding and encoding of float16, the type in which models and weights may be stored. */

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

/** Converts numbers to the nearest float16, ties to even; those beyond its range become infinite. @returns the bits. */
export function floatToHalf(numbers: Float32Array): Uint16Array {
  const bits = new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  const halves = new Uint16Array(bits.length);
  for (let index = 0; index < bits.length; index++) halves[index] = nearestHalf(bits[index] as number);
  return halves;
}

/** @param of the bits of a float32. */
function nearestHalf(of: number): number {
  const sign = (of >>> 16) & 0x8000;
  const exponent = ((of >>> 23) & 0xff) - 112;
  const mantissa = of & 0x7fffff;
  if (exponent === 143) return sign | 0x7c00 | (mantissa ? 0x200 : 0);
  if (exponent >= 31) return sign | 0x7c00;
  // Below the normal numbers the leading 1 is written, and the mantissa shifted further.
  const whole = exponent > 0 ? (exponent << 23) | mantissa : mantissa | 0x800000;
  const shift = exponent > 0 ? 13 : 14 - exponent;
  if (shift > 24) return sign;
  const half = whole >>> shift;
  const rest = whole & ((1 << shift) - 1);
  const middle = 1 << (shift - 1);
  const up = rest > middle || (rest === middle && (half & 1) === 1) ? 1 : 0;
  // A mantissa that overflows goes on to the next exponent, as it should.
  return sign | (half + up);
}
