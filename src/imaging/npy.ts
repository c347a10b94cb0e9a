/** NumPy's file format, version 1.0, for `numpy.load`. */

/** Encodes a row-major float32 array as a .npy file. */
export function encodeNpy(data: Float32Array, shape: readonly number[]): Buffer {
  const file = emptyNpy(shape);
  file.values.set(data);
  return file.bytes;
}

/** Returns a .npy file whose values are still to be written. */
export function emptyNpy(shape: readonly number[]): {
  readonly bytes: Buffer;
  readonly values: Float32Array;
} {
  const header = headerOf(shape);
  const count = shape.reduce((product, size) => product * size, 1);
  const bytes = Buffer.from(new ArrayBuffer(header.length + 4 * count));
  bytes.set(header);
  // The length of the header is a multiple of 64.
  return { bytes, values: new Float32Array(bytes.buffer as ArrayBuffer, header.length, count) };
}

function headerOf(shape: readonly number[]): Buffer {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const description = `{'descr': '<f4', 'fortran_order': False, 'shape': (${sizes}), }`;
  const prefix = 10;
  const length = Math.ceil((prefix + description.length + 1) / 64) * 64 - prefix;
  const header = Buffer.alloc(prefix + length, ' ');
  header.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]);
  header.writeUInt16LE(length, 8);
  header.write(description, prefix, 'latin1');
  header[prefix + length - 1] = 0x0a;
  return header;
}
