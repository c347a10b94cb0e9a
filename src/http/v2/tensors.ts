/**
 * Tensors of the Open Inference Protocol V2 on the wire: as JSON, or as bytes behind the JSON (the binary tensor data
 * extension), whose length the header `inference-header-content-length` tells.
 */
import { Value } from 'typebox/value';
import { ProblemError } from '../plugins/problems.js';
import { type InferRequest, type InputTensor, inferRequestSchema, type OutputTensor } from './schemas.js';

/** A request taken apart: what it says, and the bytes of the inputs that came as such. */
export interface WireRequest {
  readonly message: InferRequest;
  readonly binary: ReadonlyMap<string, Uint8Array>;
}

/** @param jsonLength bytes of the JSON, where others follow. @throws ProblemError saying what is wrong. */
export function parseRequest(body: Uint8Array, jsonLength: number | undefined): WireRequest {
  if (jsonLength !== undefined && jsonLength > body.length) {
    throw bad(`inference-header-content-length is ${jsonLength}, the body has ${body.length} bytes`);
  }
  let message: unknown;
  try {
    message = JSON.parse(Buffer.from(body.subarray(0, jsonLength)).toString('utf8'));
  } catch (error) {
    throw bad(
      `the request is no JSON: ${(error as Error).message}; send application/json, or JSON with tensors as bytes behind it ` +
        'and inference-header-content-length, the length of the JSON',
    );
  }
  if (!Value.Check(inferRequestSchema, message)) {
    const [first] = Value.Errors(inferRequestSchema, message);
    throw bad(`the request is wrong: ${first?.instancePath || 'the body'} ${first?.message ?? ''}`);
  }
  const binary = new Map<string, Uint8Array>();
  let at = jsonLength ?? body.length;
  for (const { name, parameters } of message.inputs) {
    const size = parameters?.binary_data_size;
    if (size === undefined) continue;
    if (typeof size !== 'number' || !Number.isInteger(size) || size < 0 || at + size > body.length) {
      throw bad(
        `the input '${name}' wants ${String(size)} bytes, ${body.length - at} follow the JSON; ` +
          'inference-header-content-length says where they begin',
      );
    }
    binary.set(name, body.subarray(at, at + size));
    at += size;
  }
  if (at < body.length) throw bad(`${body.length - at} bytes follow the inputs`);
  return { message, binary };
}

/** Elements of a BYTES tensor: base64 in JSON; as bytes each with its length in front, 4 bytes, little-endian. */
export function bytesElements(input: InputTensor, binary: Uint8Array | undefined): Uint8Array[] {
  const count = elements(input);
  const list = binary ? lengthPrefixed(input, binary, count) : base64Strings(input);
  if (list.length === count) return list;
  throw bad(`the input '${input.name}' has ${list.length} elements, its shape says ${count}`);
}

function lengthPrefixed({ name }: InputTensor, binary: Uint8Array, count: number): Uint8Array[] {
  const view = new DataView(binary.buffer, binary.byteOffset, binary.byteLength);
  const list: Uint8Array[] = [];
  // One more than there may be is enough to see it.
  for (let at = 0; at < binary.length && list.length <= count; ) {
    const length = at + 4 <= binary.length ? view.getUint32(at, true) : Number.POSITIVE_INFINITY;
    if (at + 4 + length > binary.length) {
      throw bad(`the input '${name}' ends within an element; each begins with its length, 4 bytes`);
    }
    list.push(binary.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return list;
}

function base64Strings({ name, data }: InputTensor): Uint8Array[] {
  return flat(name, data).map((text) => {
    if (typeof text !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) {
      throw bad(
        `the input '${name}' has BYTES, which are base64 strings in JSON; or send them as binary data`,
      );
    }
    return Buffer.from(text, 'base64');
  });
}

/** Numbers of a UINT8 tensor. */
export function uint8Elements(input: InputTensor, binary: Uint8Array | undefined): Uint8Array {
  const numbers = binary ?? Uint8Array.from(flat(input.name, input.data).map((entry) => octet(input, entry)));
  const count = elements(input);
  if (numbers.length !== count) {
    throw bad(`the input '${input.name}' has ${numbers.length} elements, its shape says ${count}`);
  }
  return numbers;
}

function octet({ name }: InputTensor, entry: unknown): number {
  if (typeof entry === 'number' && Number.isInteger(entry) && entry >= 0 && entry <= 255) return entry;
  throw bad(
    `the input '${name}' is UINT8: whole numbers from 0 to 255, not ${typeof entry === 'object' ? 'a list' : JSON.stringify(entry)}`,
  );
}

export function elements({ shape }: InputTensor): number {
  return shape.reduce((product, size) => product * size, 1);
}

const mostDimensions = 4;

function flat(name: string, data: readonly unknown[] | undefined): unknown[] {
  if (!data) throw bad(`the input '${name}' has neither data nor a binary_data_size`);
  // No tensor has more dimensions; a list that is left is no element.
  return data.flat(mostDimensions);
}

/** What an output holds. */
export type OutputData =
  | { readonly datatype: 'FP32'; readonly data: Float32Array }
  | { readonly datatype: 'BOOL'; readonly data: readonly boolean[] }
  | { readonly datatype: 'BYTES'; readonly data: readonly string[] };

/** An output as JSON, or its description and the bytes that go behind the JSON. */
export function writeOutput(
  name: string,
  shape: readonly number[],
  output: OutputData,
  asBytes: boolean,
): { readonly tensor: OutputTensor; readonly bytes?: Uint8Array } {
  const head = { name, shape: [...shape], datatype: output.datatype };
  if (!asBytes) return { tensor: { ...head, data: Array.from<number | boolean | string>(output.data) } };
  const bytes = bytesOf(output);
  return { tensor: { ...head, parameters: { binary_data_size: bytes.length } }, bytes };
}

function bytesOf(output: OutputData): Uint8Array {
  switch (output.datatype) {
    case 'FP32':
      return new Uint8Array(output.data.buffer, output.data.byteOffset, output.data.byteLength);
    case 'BOOL':
      return Uint8Array.from(output.data, Number);
    case 'BYTES':
      return Buffer.concat(
        output.data.flatMap((text) => {
          const element = Buffer.from(text);
          const length = Buffer.alloc(4);
          length.writeUInt32LE(element.length);
          return [length, element];
        }),
      );
  }
}

export function bad(detail: string): ProblemError {
  return new ProblemError('bad-request', detail);
}
