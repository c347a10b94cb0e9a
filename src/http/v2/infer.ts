/** One inference request of the Open Inference Protocol, from its bytes to the response. */
import type { IncomingHttpHeaders } from 'node:http';
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import type { ByteReservation } from '../plugins/limits.js';
import { ProblemError, problemOf } from '../plugins/problems.js';
import type { StoredResult } from '../result-store.js';
import type { ScoringRequest } from '../scoring-service.js';
import type { Service } from '../service.js';
import { badRequest } from './inputs.js';
import type { JsonThread } from './json-thread.js';
import { imagesOf, mapOfRequest, wantedOutputs, writeOutputs } from './model.js';
import type { InferResponse } from './schemas.js';

/** Header with the length of the JSON, if binary tensors follow it. */
export const lengthHeaderName = 'inference-header-content-length';

interface InferRequest extends Pick<ScoringRequest, 'deadline' | 'request'> {
  readonly model: string;
  readonly version?: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
  /** Also counts the decompressed body. */
  readonly byteHold: ByteReservation;
}

interface InferAnswer {
  readonly json: Uint8Array;
  /** Binary tensors that follow the JSON. */
  readonly binary: readonly Uint8Array[];
}

/** @throws ProblemError, RepositoryError. If one image cannot be scored, the whole request fails. */
export async function infer(
  service: Service,
  thread: JsonThread,
  { model, version, headers, body, byteHold, ...request }: InferRequest,
): Promise<InferAnswer> {
  const detector = await service.readyCatalog().acquire(model, version);
  const { maxRequestBytes, maxImages } = service.uploads;
  const plain = await uncompressed(body, headers['content-encoding'], maxRequestBytes);
  if (plain !== body) byteHold.add(plain.length);
  const wire = await thread.parse(plain, {
    jsonLength: lengthHeader(headers[lengthHeaderName]),
    maxImages,
  });
  const wanted = wantedOutputs(wire);
  const images = await imagesOf(wire);
  const map = mapOfRequest(wanted, detector);
  const outcomes = await service.scoring().score({ name: model, detector }, images, { map, ...request });
  const results = outcomes.map((outcome): StoredResult => {
    if (!('error' in outcome)) return outcome;
    throw images.length === 1 ? outcome.error : named(outcome.name, outcome.error);
  });
  const { tensors, binary } = writeOutputs(results, wanted);
  const { id } = wire.message;
  const json = await thread.write({
    ...(id === undefined ? {} : { id }),
    model_name: model,
    model_version: detector.version,
    ...warningsOf(results),
    outputs: tensors,
  });
  return { json, binary };
}

function lengthHeader(value: string | string[] | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && /^\d{1,10}$/.test(value)) return Number(value);
  throw badRequest(`${lengthHeaderName} must be the number of bytes of the JSON, not '${String(value)}'`);
}

async function uncompressed(
  body: unknown,
  encoding: string | undefined,
  maxOutputLength: number,
): Promise<Uint8Array> {
  if (!(body instanceof Uint8Array)) throw badRequest('the request has no body; send an inference request');
  if (encoding === undefined || encoding === 'identity') return body;
  const expand = encoding === 'gzip' ? gunzip : encoding === 'deflate' ? inflate : undefined;
  if (!expand)
    throw badRequest(`the content encoding '${encoding}' is not supported; send gzip, deflate or none`);
  return promisify<Uint8Array, object, Buffer>(expand)(body, { maxOutputLength }).catch((thrown: Error) => {
    throw badRequest(`the body cannot be decompressed: ${thrown.message}`);
  });
}

/** Returns what is to be known of the images, as one string: the protocol has no lists in parameters. */
function warningsOf(results: readonly StoredResult[]): Pick<InferResponse, 'parameters'> {
  const lines = results.flatMap(({ result: { warnings = [] } }, at) =>
    warnings.map((warning) => `image ${at}: ${warning}`),
  );
  return lines.length > 0 ? { parameters: { warnings: lines.join('\n') } } : {};
}

/** Returns the problem of one image, with its name in front. */
function named(name: string | undefined, thrown: unknown): ProblemError {
  const { kind, detail } = problemOf(thrown);
  return new ProblemError(kind, `${name ?? 'an image'}: ${detail}`);
}
