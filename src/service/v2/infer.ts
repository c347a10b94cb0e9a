/** One inference request of the Open Inference Protocol, from its bytes to its answer. */
import type { IncomingHttpHeaders } from 'node:http';
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import type { ByteHold } from '../admission.js';
import type { Patience } from '../inference.js';
import { ProblemError, problemOf } from '../problems.js';
import type { StoredResult } from '../result-store.js';
import type { ServiceState } from '../state.js';
import { imagesOf, mapMethod, wantedOutputs, writeOutputs } from './model.js';
import type { InferResponse } from './schemas.js';
import { bad, parseRequest } from './tensors.js';

/** How long the JSON is that has binary tensors behind it. */
export const lengthHeaderName = 'inference-header-content-length';

interface InferRequest extends Patience {
  readonly model: string;
  readonly version?: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
  /** What the body takes once it is expanded counts too. */
  readonly byteHold: ByteHold;
}

interface InferAnswer {
  readonly answer: InferResponse;
  /** What goes behind the answer. */
  readonly binary: readonly Uint8Array[];
}

/** @throws ProblemError, RepositoryError; where one image cannot be scored, all of the request fails. */
export async function infer(
  state: ServiceState,
  { model, version, headers, body, byteHold, ...patience }: InferRequest,
): Promise<InferAnswer> {
  const detector = await state.readyCatalog().acquire(model, version);
  const { maxRequestBytes, maxImages } = state.uploads;
  const plain = await uncompressed(body, headers['content-encoding'], maxRequestBytes);
  if (plain !== body) byteHold.add(plain.length);
  const wire = parseRequest(plain, lengthHeader(headers[lengthHeaderName]));
  const wanted = wantedOutputs(wire, detector);
  const images = await imagesOf(wire, maxImages);
  const map = mapMethod(wanted, detector);
  const outcomes = await state.scoring().score(model, detector, images, { map, ...patience });
  const results = outcomes.map((outcome): StoredResult => {
    if (!('error' in outcome)) return outcome;
    throw images.length === 1 ? outcome.error : named(outcome.name, outcome.error);
  });
  const { tensors, binary } = writeOutputs(results, wanted);
  const { id } = wire.message;
  const answer: InferResponse = {
    ...(id === undefined ? {} : { id }),
    model_name: model,
    model_version: detector.version,
    outputs: tensors,
  };
  return { answer, binary };
}

function lengthHeader(value: string | string[] | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && /^\d{1,10}$/.test(value)) return Number(value);
  throw bad(`${lengthHeaderName} is the number of bytes of the JSON, not '${String(value)}'`);
}

async function uncompressed(
  body: unknown,
  encoding: string | undefined,
  maxOutputLength: number,
): Promise<Uint8Array> {
  if (!(body instanceof Uint8Array)) throw bad('the request has no body; send an inference request');
  if (encoding === undefined || encoding === 'identity') return body;
  const expand = encoding === 'gzip' ? gunzip : encoding === 'deflate' ? inflate : undefined;
  if (!expand) throw bad(`the content encoding '${encoding}' is not taken; send gzip, deflate or none`);
  return promisify<Uint8Array, object, Buffer>(expand)(body, { maxOutputLength }).catch((thrown: Error) => {
    throw bad(`the body cannot be expanded: ${thrown.message}`);
  });
}

/** The problem of one image, with which one it is. */
function named(name: string | undefined, thrown: unknown): ProblemError {
  const { kind, detail } = problemOf(thrown);
  return new ProblemError(kind, `${name ?? 'an image'}: ${detail}`);
}
