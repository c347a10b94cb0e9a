/**
 * The safetensors format: an 8-byte little-endian header length, a JSON header of names, types, shapes and offsets,
 * then the tensors' bytes. The reader checks every length and rejects damaged files.
 */
import { type ConstantTensor, halfToFloat } from '../onnx/index.js';

/** Tensors by name, in the order of the file. */
export type TensorMap = ReadonlyMap<string, ConstantTensor>;

/** The file is not a valid safetensors file, or is incomplete. */
export class SafetensorsError extends Error {
  override readonly name = 'SafetensorsError';
}

const typeNames = { float32: 'F32', float16: 'F16', uint8: 'U8', int64: 'I64', bool: 'BOOL' } as const;

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** Reads all tensors; most are views of the bytes. @throws SafetensorsError if the file is invalid or incomplete. */
export function readSafetensors(bytes: Uint8Array): TensorMap {
  const { header, body } = splitHeader(bytes);
  const tensors = new Map<string, ConstantTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    if (!isEntry(entry)) throw new SafetensorsError(`tensor '${name}' has no type, shape and offsets`);
    tensors.set(name, readTensor(name, entry, body));
  }
  return tensors;
}

/** Reads the metadata of a file. @throws SafetensorsError if the file is invalid. */
export function readSafetensorsMetadata(bytes: Uint8Array): Readonly<Record<string, string>> {
  const { __metadata__: metadata = {} } = splitHeader(bytes).header;
  return metadata as Readonly<Record<string, string>>;
}

export function writeSafetensors(
  tensors: TensorMap,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const header: Record<string, Entry | Readonly<Record<string, string>>> = {};
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  let offset = 0;
  for (const [name, { type, shape, data }] of tensors) {
    header[name] = { dtype: typeNames[type], shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Math.ceil(json.length / 8) * 8;
  const bytes = Buffer.alloc(8 + padded + offset, ' ');
  bytes.writeBigUInt64LE(BigInt(padded), 0);
  json.copy(bytes, 8);
  let at = 8 + padded;
  for (const { data } of tensors.values()) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/** Returns a floating-point tensor as float32. @throws SafetensorsError if it is missing or not floating point. */
export function floatTensor(
  tensors: TensorMap,
  name: string,
): { shape: readonly number[]; data: Float32Array } {
  const tensor = tensors.get(name);
  if (!tensor) throw new SafetensorsError(`tensor '${name}' is missing`);
  if (tensor.type === 'float32') return tensor;
  if (tensor.type === 'float16') return { shape: tensor.shape, data: halfToFloat(tensor.data) };
  throw new SafetensorsError(`tensor '${name}' is ${tensor.type}; wanted float32 or float16`);
}

function splitHeader(bytes: Uint8Array): { header: Record<string, unknown>; body: Uint8Array } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < 8) throw new SafetensorsError('the file is too short to be safetensors');
  const length = buffer.readBigUInt64LE(0);
  if (length > BigInt(buffer.length - 8)) throw new SafetensorsError('the header is longer than the file');
  const end = 8 + Number(length);
  let header: unknown;
  try {
    header = JSON.parse(buffer.toString('utf8', 8, end));
  } catch {
    throw new SafetensorsError('the header is not JSON');
  }
  if (typeof header !== 'object' || header === null)
    throw new SafetensorsError('the header is not a JSON object');
  return { header: header as Record<string, unknown>, body: bytes.subarray(end) };
}

function isEntry(entry: unknown): entry is Entry {
  if (typeof entry !== 'object' || entry === null) return false;
  const { dtype, shape, data_offsets } = entry as Partial<Entry>;
  const natural = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
  return (
    typeof dtype === 'string' &&
    Array.isArray(shape) &&
    shape.every(natural) &&
    Array.isArray(data_offsets) &&
    data_offsets.length === 2 &&
    data_offsets.every(natural)
  );
}

function readTensor(
  name: string,
  { dtype, shape, data_offsets: [begin, end] }: Entry,
  body: Uint8Array,
): ConstantTensor {
  const type = (Object.keys(typeNames) as (keyof typeof typeNames)[]).find((key) => typeNames[key] === dtype);
  if (!type)
    throw new SafetensorsError(
      `tensor '${name}' is ${dtype}; supported are ${Object.values(typeNames).join(', ')}`,
    );
  const count = shape.reduce((product, size) => product * size, 1);
  const width = { float32: 4, float16: 2, uint8: 1, int64: 8, bool: 1 }[type];
  if (begin > end || end > body.length) throw new SafetensorsError(`tensor '${name}' is outside the file`);
  if (end - begin !== count * width) {
    throw new SafetensorsError(
      `tensor '${name}' has ${end - begin} bytes; [${shape.join(', ')}] needs ${count * width}`,
    );
  }
  const bytes = body.subarray(begin, end);
  // Typed arrays need aligned offsets.
  const { buffer, byteOffset } = bytes.byteOffset % width === 0 ? bytes : Uint8Array.from(bytes);
  switch (type) {
    case 'float32':
      return { type, shape, data: new Float32Array(buffer, byteOffset, count) };
    case 'float16':
      return { type, shape, data: new Uint16Array(buffer, byteOffset, count) };
    case 'int64':
      return { type, shape, data: new BigInt64Array(buffer, byteOffset, count) };
    default:
      return { type, shape, data: new Uint8Array(buffer, byteOffset, count) };
  }
}
