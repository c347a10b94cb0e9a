/** Errors of the service as problem details (RFC 9457). */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifySchemaValidationError } from 'fastify/types/schema.js';
import { CalibrationError } from '../../detector/index.js';
import { ImageError, type ImageErrorKind } from '../../imaging/index.js';
import { JobError } from '../../jobs/index.js';
import type { Metrics } from '../../observability/index.js';
import { RepositoryError } from '../../repository/index.js';
import { RuntimeError } from '../../runtime/index.js';
import { ScoringError, type ScoringErrorKind, UnknownMapError } from '../../scoring/index.js';
import type { Problem } from '../v1/schemas/index.js';
import { imageMediaTypes, multipartMediaType } from './media-types.js';

const table = {
  'bad-request': { status: 400, title: 'The request is invalid' },
  'no-image': { status: 400, title: 'There is no image in the request' },
  'one-image-only': { status: 400, title: 'A picture shows only one image' },
  'empty-image': { status: 400, title: 'The image is empty' },
  'damaged-image': { status: 422, title: 'The image is damaged or incomplete' },
  'unsupported-image': { status: 415, title: 'This image format is not supported' },
  'unsupported-media-type': { status: 415, title: 'This content type is not supported' },
  'too-many-pixels': { status: 413, title: 'The image has too many pixels' },
  'too-many-bytes': { status: 413, title: 'There is too much data' },
  'too-many-parts': { status: 413, title: 'There are too many parts' },
  'no-key': { status: 401, title: 'An API key is required' },
  'wrong-scope': { status: 403, title: 'The API key does not allow this' },
  'too-many-requests': { status: 429, title: 'The API key has sent too many requests' },
  'unknown-detector': { status: 404, title: 'There is no such detector' },
  'unknown-version': { status: 404, title: 'There is no such version of the detector' },
  'unknown-map': { status: 404, title: 'The detector has no such map' },
  'refused-detector': { status: 422, title: 'The detector is refused' },
  conflict: { status: 409, title: 'The state of the detector does not allow this' },
  'read-only': { status: 409, title: 'The folder of detectors cannot be written' },
  'disk-full': { status: 507, title: 'The disk is full' },
  'no-photos': { status: 404, title: 'The photos of the detector are not kept' },
  'unknown-job': { status: 404, title: 'There is no such job' },
  'unknown-result': { status: 404, title: 'There is no such result' },
  'expired-result': { status: 404, title: 'The result has expired' },
  'unknown-route': { status: 404, title: 'There is no such resource' },
  'method-not-allowed': { status: 405, title: 'The resource does not support this method' },
  'request-timeout': { status: 408, title: 'The request took too long to arrive' },
  'deadline-exceeded': { status: 504, title: 'The timeout has passed' },
  'client-gone': { status: 499, title: 'The client disconnected' },
  internal: { status: 500, title: 'The service failed' },
  'not-ready': { status: 503, title: 'The service is not ready' },
  overloaded: { status: 503, title: 'The service is overloaded' },
  'results-unreachable': { status: 503, title: 'The store of results cannot be reached' },
} as const;

export type ProblemKind = keyof typeof table;

export const problemKinds = Object.keys(table) as ProblemKind[];

/** An error with its problem details. `detail` says what is wrong and what would be right. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';

  constructor(
    readonly kind: ProblemKind,
    detail: string,
    readonly retryAfterSeconds?: number,
  ) {
    super(detail);
  }
}

export const problemMediaType = 'application/problem+json';

/** Returns the problem details of one image among several, and counts the problem. */
export function imageProblem(error: unknown, metrics: Metrics): Problem {
  const { kind, ...problem } = problemOf(error);
  metrics.problem(kind);
  return problem;
}

/** Returns the problem details of an error, for a whole response or for one image among several. */
export function problemOf(error: unknown): Problem & { kind: ProblemKind } {
  const { kind, message } = classified(error);
  const { status, title } = table[kind];
  return { type: `urn:mkd:problem:${kind}`, title, status, detail: message, kind };
}

/** Logs and counts the error of a request, and sets Retry-After. @returns the problem to send. */
export function reportProblem(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  metrics: Metrics,
): Problem {
  // Work that was interrupted because its client disconnected.
  const { kind, ...problem } = problemOf(
    request.disconnected?.aborted
      ? new ProblemError('client-gone', 'the client disconnected before the response')
      : error,
  );
  if (problem.status >= 500 && !clientCaused.has(kind)) request.log.error(error);
  metrics.problem(kind);
  const retryAfter =
    error instanceof ProblemError || error instanceof ScoringError ? error.retryAfterSeconds : undefined;
  if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter));
  const detail =
    error instanceof ProblemError || error instanceof ImageError || error instanceof JobError
      ? problem.detail
      : (bodyProblemDetail(kind, request) ?? problem.detail);
  return { ...problem, detail, instance: request.id };
}

/** 5xx responses that are not failures of the service: too many requests, or too little time. */
const clientCaused: ReadonlySet<ProblemKind> = new Set([
  'overloaded',
  'not-ready',
  'deadline-exceeded',
  'results-unreachable',
]);

/** Returns what a route accepts, for a body that was refused before its handler ran. */
function bodyProblemDetail(kind: ProblemKind, { headers, routeOptions }: FastifyRequest): string | undefined {
  const { bodyLimit, config } = routeOptions;
  if (kind === 'too-many-bytes') return `the body is larger than ${bodyLimit} bytes, the maximum`;
  if (kind !== 'unsupported-media-type') return undefined;
  const taken =
    typeof config.accepts === 'object'
      ? Object.keys(config.accepts)
      : [multipartMediaType, ...imageMediaTypes];
  const sent = headers['content-type'] ?? '';
  // What curl sends with --data-binary, unless it is told otherwise.
  const hint = /^application\/x-www-form-urlencoded/i.test(sent)
    ? `; with curl: -H 'content-type: ${taken[1] ?? taken[0]}'`
    : '';
  return `the content type '${sent}' is not supported; send ${taken.join(', ')}${hint}`;
}

const imageProblems: Readonly<Record<ImageErrorKind, ProblemKind>> = {
  empty: 'empty-image',
  unsupported: 'unsupported-image',
  damaged: 'damaged-image',
  'too-many-bytes': 'too-many-bytes',
  'too-many-pixels': 'too-many-pixels',
};

const scoringProblems: Readonly<Record<ScoringErrorKind, ProblemKind>> = {
  'queue-full': 'overloaded',
  deadline: 'deadline-exceeded',
  'client-gone': 'client-gone',
  stopping: 'not-ready',
  'worker-lost': 'not-ready',
};

const fastifyProblems: Readonly<Record<string, ProblemKind>> = {
  FST_ERR_VALIDATION: 'bad-request',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported-media-type',
  FST_INVALID_MULTIPART_CONTENT_TYPE: 'unsupported-media-type',
  FST_ERR_CTP_BODY_TOO_LARGE: 'too-many-bytes',
  FST_REQ_FILE_TOO_LARGE: 'too-many-bytes',
  FST_PARTS_LIMIT: 'too-many-parts',
  FST_FILES_LIMIT: 'too-many-parts',
  FST_FIELDS_LIMIT: 'too-many-parts',
};

function classified(error: unknown): { kind: ProblemKind; message: string } {
  if (error instanceof ProblemError || error instanceof RepositoryError || error instanceof JobError) {
    return { kind: error.kind, message: error.message };
  }
  if (error instanceof ScoringError) {
    const hint = error.kind === 'deadline' ? longerHint : '';
    return { kind: scoringProblems[error.kind], message: `${error.message}${hint}` };
  }
  if (error instanceof UnknownMapError) return { kind: 'unknown-map', message: error.message };
  if (error instanceof CalibrationError) return { kind: 'bad-request', message: error.message };
  if (error instanceof ImageError) return { kind: imageProblems[error.kind], message: error.message };
  if (error instanceof RuntimeError)
    return { kind: 'internal', message: 'inference failed; the log says why' };
  if (error instanceof Error) {
    const code: unknown = Reflect.get(error, 'code');
    const known = typeof code === 'string' ? fastifyProblems[code] : undefined;
    if (known) return { kind: known, message: validationMessage(error) ?? error.message };
    const status: unknown = Reflect.get(error, 'statusCode');
    if (typeof status === 'number' && status >= 400 && status < 500)
      return { kind: 'bad-request', message: error.message };
  }
  return { kind: 'internal', message: 'the request failed; the log says why' };
}

const longerHint =
  '; send fewer images at once, or allow more time: with the header mkd-timeout-ms, or with --timeout-ms for all requests';

/** Parts of a request in plain words. */
const places: Readonly<Record<string, string>> = { querystring: 'query', params: 'path' };

/** Messages of the validator in plain words. */
const plainMessages: Readonly<Record<string, string>> = {
  'must be number': 'must be a number',
  'must be integer': 'must be a whole number',
  'must be boolean': 'must be true or false',
};

/** Says what the schema requires, and lists the allowed words. */
function validationMessage(error: Error): string | undefined {
  const context: unknown = Reflect.get(error, 'validationContext');
  const validation: unknown = Reflect.get(error, 'validation');
  if (!Array.isArray(validation)) return undefined;
  const [first] = validation as (Partial<FastifySchemaValidationError> & {
    readonly data?: unknown;
    readonly parentSchema?: { readonly properties?: object };
  })[];
  const { instancePath = '', message = '', params = {}, data, parentSchema } = first ?? {};
  const place = places[String(context)] ?? String(context);
  if (typeof params.additionalProperty === 'string') {
    const known = Object.keys(parentSchema?.properties ?? {}).join(', ');
    return `'${params.additionalProperty}' is unknown in the ${place}; available: ${known}`;
  }
  if (typeof params.missingProperty === 'string') return `the ${place} lacks '${params.missingProperty}'`;
  const { allowedValues } = params;
  const wanted = Array.isArray(allowedValues)
    ? `must be one of ${allowedValues.join(', ')}`
    : (plainMessages[message] ?? message);
  return `'${instancePath.slice(1)}' in the ${place} ${wanted}, not '${String(data)}'`;
}
