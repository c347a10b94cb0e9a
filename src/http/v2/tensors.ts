/**
 * Encodes and decodes tensors of the Open Inference Protocol V2: as JSON, or as bytes after the JSON (the binary tensor
 * data extension). The header `inference-header-content-length` has the length of the JSON.
 */
import { Value } from 'typebox/value';
import { shortest } from '../../files/decimals.js';
import { badRequest, elements, inputOf } from './inputs.js';
import { mostDimensions, type ShortJson, takeNumberLists } from './number-lists.js';
import {
  type InferRequest,
  type InferResponse,
  type InputTensor,
  inferRequestSchema,
  type OutputTensor,
} from './schemas.js';

/** A parsed request. */
export interface WireRequest {
  /** The JSON, without the inputs' data. */
  readonly message: InferRequest;
  readonly input: InputTensor;
  /** The input's data: UINT8 as bytes, BYTES each after its length; undefined if the request has none. */
  readonly elements: Uint8Array | undefined;
}

/** How a request is read. */
export interface RequestForm {
  /** Bytes of the JSON, if binary tensors follow. */
  readonly jsonLength: number | undefined;
  readonly maxImages: number;
}

/** @throws ProblemError if the request is invalid. */
export function parseRequest(body: Uint8Array, { jsonLength, maxImages }: RequestForm): WireRequest {
  if (jsonLength !== undefined && jsonLength > body.length) {
    throw badRequest(
      `inference-header-content-length is ${jsonLength}, but the body has only ${body.length} bytes`,
    );
  }
  const { json, lists: long } = takeNumberLists(bufferOf(body.subarray(0, jsonLength)));
  let message: unknown;
  try {
    message = JSON.parse(json);
  } catch (error) {
    throw badRequest(
      `the request is not JSON: ${(error as Error).message}; send application/json, or JSON followed by binary tensors ` +
        'and inference-header-content-length, the length of the JSON',
    );
  }
  const lists = takeLists(message, long);
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
  const input = inputOf(message, maxImages);
  const [list] = lists;
  const elements = binary.get(input.name);
  if (elements || !list) return { message, input, elements };
  return {
    message,
    input,
    elements: input.datatype === 'UINT8' ? octetsOf(input, list) : base64Elements(input, list),
  };
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** The data of an input as it was in JSON: a list, or the numbers of a long one. */
type Data = readonly unknown[] | Uint8Array;

/** Takes the inputs' data out of a message: checking the schema of millions of numbers takes a minute. */
function takeLists(message: unknown, long: ShortJson['lists']): (Data | undefined)[] {
  const inputs: unknown = Object(message).inputs;
  if (!Array.isArray(inputs)) return [];
  return inputs.map((input: unknown) => {
    const given: unknown = Object(input).data;
    const data = typeof given === 'string' ? long.get(given) : given;
    if (!Array.isArray(data) && !(data instanceof Uint8Array)) return undefined;
    delete Object(input).data;
    return data;
  });
}

/** Returns the elements of a BYTES tensor: each after its length as a little-endian uint32. */
export function bytesElements(input: InputTensor, binary: Uint8Array | undefined): Uint8Array[] {
  const count = elements(input);
  const list = lengthPrefixed(input, given(input, binary), count);
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

function base64Elements({ name }: InputTensor, data: Data): Uint8Array {
  const parts: Uint8Array[] = [];
  visit(data, (text) => {
    // Lines of 76 characters are common: MIME and the program base64 break them.
    if (typeof text !== 'string' || !/^[A-Za-z0-9+/\r\n]*={0,2}[\r\n]*$/.test(text)) {
      throw badRequest(`the input '${name}' is BYTES: it must be base64 strings in JSON, or binary data`);
    }
    parts.push(...prefixed(Buffer.from(text, 'base64')));
  });
  return Buffer.concat(parts);
}

/** Returns the numbers of a UINT8 tensor. */
export function uint8Elements(input: InputTensor, binary: Uint8Array | undefined): Uint8Array {
  const numbers = given(input, binary);
  const count = elements(input);
  if (numbers.length === count) return numbers;
  throw badRequest(`the input '${input.name}' has ${numbers.length} elements, but its shape has ${count}`);
}

function octetsOf(input: InputTensor, data: Data): Uint8Array {
  if (data instanceof Uint8Array) return data;
  const octets: number[] = [];
  visit(data, (entry) => octets.push(octet(input, entry)));
  return Uint8Array.from(octets);
}

function octet({ name }: InputTensor, entry: unknown): number {
  if (typeof entry === 'number' && Number.isInteger(entry) && entry >= 0 && entry <= 255) return entry;
  throw badRequest(
    `the input '${name}' is UINT8: it must be whole numbers from 0 to 255, not ${typeof entry === 'object' ? 'a list' : JSON.stringify(entry).slice(0, 40)}`,
  );
}

/** Calls the function with every element of a list, flat or nested. */
function visit(data: Data, element: (entry: unknown) => void, depth = 1): void {
  for (const entry of data) {
    if (Array.isArray(entry) && depth < mostDimensions) visit(entry, element, depth + 1);
    else element(entry);
  }
}

function given({ name }: InputTensor, binary: Uint8Array | undefined): Uint8Array {
  if (binary) return binary;
  throw badRequest(`the input '${name}' has neither data nor binary_data_size; send one of them`);
}

/** The data of an output. */
export type OutputData =
  | { readonly datatype: 'FP32'; readonly data: Float32Array }
  | { readonly datatype: 'BOOL'; readonly data: readonly boolean[] }
  | { readonly datatype: 'BYTES'; readonly data: readonly string[] };

/** An output as it is written: its numbers are not yet a list. */
export type WrittenTensor = Omit<OutputTensor, 'data'> & { readonly data?: OutputData['data'] };

/** A response as it is written. */
export type WrittenResponse = Omit<InferResponse, 'outputs'> & { readonly outputs: readonly WrittenTensor[] };

/** Returns the JSON of a response, each number with the digits that a float32 has. */
export function responseJson(response: WrittenResponse): Buffer {
  const outputs = response.outputs.map((tensor) =>
    tensor.data instanceof Float32Array ? { ...tensor, data: Array.from(tensor.data, shortest) } : tensor,
  );
  return Buffer.from(JSON.stringify({ ...response, outputs }));
}

/** Encodes an output as JSON, or as its description and the bytes that follow the JSON. */
export function writeOutput(
  name: string,
  shape: readonly number[],
  output: OutputData,
  asBytes: boolean,
): { readonly tensor: WrittenTensor; readonly bytes?: Uint8Array } {
  const head = { name, shape: [...shape], datatype: output.datatype };
  if (!asBytes) return { tensor: { ...head, data: output.data } };
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
      return Buffer.concat(output.data.flatMap((text) => prefixed(Buffer.from(text))));
  }
}

/** Returns an element of a BYTES tensor after its length. */
function prefixed(element: Uint8Array): Uint8Array[] {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(element.length);
  return [length, element];
}
