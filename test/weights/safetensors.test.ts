/** The safetensors format: tensors survive a round trip, damaged files are rejected. */
import t from 'tap';
import { halfToFloat } from '../../src/onnx/index.js';
import {
  floatTensor,
  readSafetensors,
  SafetensorsError,
  writeSafetensors,
} from '../../src/weights/safetensors.js';

const tensors = new Map([
  ['a', { type: 'float32', shape: [2, 2], data: Float32Array.of(1, -2, 0.5, 3) }],
  ['b', { type: 'uint8', shape: [3], data: Uint8Array.of(1, 2, 3) }],
  ['c', { type: 'float16', shape: [2], data: Uint16Array.of(0x3c00, 0xc000) }],
] as const);

t.test('tensors survive a round trip, even from the middle of a buffer', async (t) => {
  const bytes = writeSafetensors(tensors, { made: 'by a test' });
  const shifted = Buffer.concat([Buffer.of(0), bytes]).subarray(1);
  const read = readSafetensors(shifted);
  t.strictSame([...read.keys()], ['a', 'b', 'c']);
  t.strictSame(read.get('a')?.data, tensors.get('a')?.data);
  t.strictSame(read.get('b')?.data, tensors.get('b')?.data);
  t.strictSame([...floatTensor(read, 'c').data], [1, -2]);
});

t.test('half precision: subnormals, infinities and the largest number', async (t) => {
  const [smallest, largest, infinite, nan] = halfToFloat(Uint16Array.of(0x0001, 0x7bff, 0xfc00, 0x7e00));
  t.equal(smallest, 2 ** -24);
  t.equal(largest, 65504);
  t.equal(infinite, Number.NEGATIVE_INFINITY);
  t.ok(Number.isNaN(nan));
});

t.test('damaged files are rejected', async (t) => {
  const bytes = writeSafetensors(tensors);
  t.throws(() => readSafetensors(bytes.subarray(0, 5)), SafetensorsError, 'shorter than a header');
  t.throws(() => readSafetensors(bytes.subarray(0, bytes.length - 1)), /outside the file/, 'cut off');
  const header = Buffer.from(bytes);
  header.writeBigUInt64LE(10n ** 12n, 0);
  t.throws(() => readSafetensors(header), /longer than the file/);
  t.throws(() => floatTensor(readSafetensors(bytes), 'b'), /is uint8/);
  t.throws(() => floatTensor(readSafetensors(bytes), 'z'), /'z' is missing/);
});
