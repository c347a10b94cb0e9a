/**
 * Encodes and decodes tensors of the Open Inference Protocol V2: as JSON, or as bytes after the JSON (the binary tensor
 * data extension). The header `inference-header-content-length` has the length of the JSON.
 */
import { Value } from 'typebox/value';
import { ProblemError } from '../plugins/problems.js';
import { type InferRequest, type InputTensor, inferRequestSchema, type OutputTensor } from './schemas.js';

/** A parsed request: its JSON, and the bytes of its binary inputs. */
export interface WireRequest {
  readonly message: InferRequest;
  readonly binary: ReadonlyMap<string, Uint8Array>;
}

/** @param jsonLength bytes of the JSON, if binary tensors follow. @throws ProblemError if the request is invalid. */
export function parseRequest(body: Uint8Array, jsonLength: number | undefined): WireRequest {
  if (jsonLength !== undefined && jsonLength > body.length) {
    throw badRequest(
      `inference-header-content-length is ${jsonLength}, but the body has only ${body.length} bytes`,
    );
  }
  let message: unknown;
  try {
    message = JSON.parse(Buffer.from(body.subarray(0, jsonLength)).toString('utf8'));
  } catch (error) {
    throw badRequest(
      `the request is not JSON: ${(error as Error).message}; send application/json, or JSON followed by binary tensors ` +
        'and inference-header-content-length, the length of the JSON',
    );
  }
  if (!Value.Check(inferRequestSchema, message)) {
    const [first] = Value.Errors(inferRequestSchema, message);
    throw badRequest(`the request is invalid: ${first?.instancePath || 'the body'} ${first?.message ?? ''}`);
  }
  const binary = new Map<string, Uint8Array>();
  let at = jsonLength ?? body.length;
  for (const { name, parameters } of message.inputs) {
    const size = parameters?.binary_data_size;
    if (size === undefined) continue;
    if (typeof size !== 'number' || !Number.isInteger(size) || size < 0 || at + size > body.length) {
      throw badRequest(
        `the input '${name}' needs ${String(size)} bytes, but ${body.length - at} follow the JSON; ` +
          'inference-header-content-length must be the length of the JSON',
      );
    }
    binary.set(name, body.subarray(at, at + size));
    at += size;
  }
  if (at < body.length)
    throw badRequest(
      `${body.length - at} bytes follow the last input; remove them, or correct binary_data_size`,
    );
  return { message, binary };
}

/** Returns the elements of a BYTES tensor: base64 in JSON; binary, each after its length as a little-endian uint32. */
export function bytesElements(input: InputTensor, binary: Uint8Array | undefined): Uint8Array[] {
  const count = elements(input);
  const list = binary ? lengthPrefixed(input, binary, count) : base64Strings(input);
  if (list.length === count) return list;
  throw badRequest(`the input '${input.name}' has ${list.length} elements, but its shape has ${count}`);
}

function lengthPrefixed({ name }: InputTensor, binary: Uint8Array, count: number): Uint8Array[] {
  const view = new DataView(binary.buffer, binary.byteOffset, binary.byteLength);
  const list: Uint8Array[] = [];
  // One element too many is enough for the caller to refuse it.
  for (let at = 0; at < binary.length && list.length <= count; ) {
    const length = at + 4 <= binary.length ? view.getUint32(at, true) : Number.POSITIVE_INFINITY;
    if (at + 4 + length > binary.length) {
      throw badRequest(
        `the input '${name}' ends within an element; each must start with its length, 4 bytes`,
      );
    }
    list.push(binary.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return list;
}

function base64Strings({ name, data }: InputTensor): Uint8Array[] {
  return flat(name, data).map((text) => {
    // Lines of 76 characters are common: MIME and the program base64 break them.
    if (typeof text !== 'string' || !/^[A-Za-z0-9+/\r\n]*={0,2}[\r\n]*$/.test(text)) {
      throw badRequest(`the input '${name}' is BYTES: it must be base64 strings in JSON, or binary data`);
    }
    return Buffer.from(text, 'base64');
  });
}

/** Returns the numbers of a UINT8 tensor. */
export function uint8Elements(input: InputTensor, binary: Uint8Array | undefined): Uint8Array {
  const numbers = binary ?? Uint8Array.from(flat(input.name, input.data).map((entry) => octet(input, entry)));
  const count = elements(input);
  if (numbers.length !== count) {
    throw badRequest(`the input '${input.name}' has ${numbers.length} elements, but its shape has ${count}`);
  }
  return numbers;
}

function octet({ name }: InputTensor, entry: unknown): number {
  if (typeof entry === 'number' && Number.isInteger(entry) && entry >= 0 && entry <= 255) return entry;
  throw badRequest(
    `the input '${name}' is UINT8: it must be whole numbers from 0 to 255, not ${typeof entry === 'object' ? 'a list' : JSON.stringify(entry)}`,
  );
}

export function elements({ shape }: InputTensor): number {
  return shape.reduce((product, size) => product * size, 1);
}

const mostDimensions = 4;

function flat(name: string, data: readonly unknown[] | undefined): unknown[] {
  if (!data) throw badRequest(`the input '${name}' has neither data nor binary_data_size; send one of them`);
  // No tensor has more dimensions; a remaining list is refused as an element.
  return data.flat(mostDimensions);
}

/** The data of an output. */
export type OutputData =
  | { readonly datatype: 'FP32'; readonly data: Float32Array }
  | { readonly datatype: 'BOOL'; readonly data: readonly boolean[] }
  | { readonly datatype: 'BYTES'; readonly data: readonly string[] };

/** Encodes an output as JSON, or as its description and the bytes that follow the JSON. */
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

export function badRequest(detail: string): ProblemError {
  return new ProblemError('bad-request', detail);
}
