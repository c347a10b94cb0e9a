/** Request bodies: counted as they arrive; what is unread after the response is discarded. */
import { finished, Transform } from 'node:stream';
import type { FastifyInstance, FastifyRequest, RequestPayload } from 'fastify';
import { systemClock } from '../../batching/index.js';
import { deadlineOf } from './clients.js';
import type { Admission, ByteReservation } from './limits.js';
import { isArchive, isMultipart } from './media-types.js';
import { ProblemError } from './problems.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Counts the bytes received so far. */
    byteHold: ByteReservation;
  }
}

/** Node.js ends a request after two minutes, without a body; ours comes first. */
export const longestBodyMs = 110_000;

export function lateBody(): ProblemError {
  return new ProblemError('request-timeout', 'the body of the request did not arrive before its deadline');
}

/**
 * Counts received bytes; refuses a request with more bytes than there is room for, and one whose body has not arrived when
 * its deadline passes. An archive has no deadline but the longest.
 * @param timeoutMs of requests that do not say theirs.
 */
export function countBodies(app: FastifyInstance, admission: Admission, timeoutMs: number): void {
  app.decorateRequest('byteHold');
  app.addHook('onRequest', async (request, { raw }) => {
    const hold = admission.bytes();
    request.byteHold = hold;
    // None of Fastify's hooks runs when a client disconnects after its upload.
    raw.once('close', () => hold.release());
  });
  // The parts of a multipart body are counted where they are read.
  app.addHook('preParsing', async (request, _reply, payload) => {
    const type = request.headers['content-type'];
    if (isMultipart(type)) return payload;
    const { atMs } = deadlineOf(request, isArchive(type) ? longestBodyMs : timeoutMs);
    const waitMs = Math.min(atMs - systemClock.now(), longestBodyMs);
    return counted(payload, request.byteHold, waitMs);
  });
}

function counted(payload: RequestPayload, hold: ByteReservation, waitMs: number): RequestPayload {
  const counter: Transform & RequestPayload = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      try {
        hold.add(chunk.length);
        counter.receivedEncodedLength = (counter.receivedEncodedLength ?? 0) + chunk.length;
        done(null, chunk);
      } catch (error) {
        done(error as Error);
      }
    },
  });
  // Not a pipeline: that would destroy the request together with its reader, and the connection could not be reused.
  finished(payload, (error) => error && counter.destroy(error));
  const late = setTimeout(() => counter.destroy(lateBody()), waitMs).unref();
  counter.on('close', () => clearTimeout(late));
  // The reader gets the error.
  counter.on('error', () => {});
  return payload.pipe(counter);
}

/**
 * Reads a body whole. Each chunk is copied when it arrives: joining 128 MiB at the end would hold the event loop.
 * @throws ProblemError `too-many-bytes`
 */
export async function readBody(request: FastifyRequest, payload: RequestPayload): Promise<Buffer> {
  const { bodyLimit } = request.routeOptions;
  const announced = Number(request.headers['content-length'] ?? 0);
  const tooMany = (): ProblemError =>
    new ProblemError('too-many-bytes', `the body is larger than ${bodyLimit} bytes, the maximum`);
  if (announced > bodyLimit) throw tooMany();
  let body = Buffer.allocUnsafeSlow(Math.max(announced, 2 ** 16));
  let length = 0;
  for await (const chunk of payload as AsyncIterable<Buffer>) {
    if (length + chunk.length > bodyLimit) throw tooMany();
    if (length + chunk.length > body.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(2 * body.length, length + chunk.length));
      body.copy(larger, 0, 0, length);
      body = larger;
    }
    body.set(chunk, length);
    length += chunk.length;
  }
  return body.subarray(0, length);
}

/** How long a client may still send after the response. */
const discardMs = 5000;

/**
 * Reads and discards what is left of a body when its request has been answered, as happens with most refused requests.
 * If it were left unread, the connection would be paused: it would see neither that its client disconnects nor the next
 * request, and the service would wait for it when it stops. If it were closed at once, the answer could be lost (RFC
 * 9112, section 9.6).
 */
export function discardUnreadBodies(app: FastifyInstance): void {
  app.addHook('onResponse', async ({ raw }) => {
    if (raw.complete || raw.destroyed) return;
    const late = setTimeout(() => raw.destroy(), discardMs).unref();
    raw.once('close', () => clearTimeout(late));
    raw.unpipe();
    raw.resume();
  });
}
