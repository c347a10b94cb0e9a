/** Bodies of requests: counted as they come, and what is left of them once a request has been answered thrown away. */
import { finished, Transform } from 'node:stream';
import type { FastifyInstance, RequestPayload } from 'fastify';
import type { Admission, ByteHold } from './admission.js';
import { multipartMediaType } from './media-types.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** The bytes it has brought so far. */
    byteHold: ByteHold;
  }
}

/** Counts what is received; a request that brings more than there is room for is turned away. */
export function countBodies(app: FastifyInstance, admission: Admission): void {
  app.decorateRequest('byteHold');
  app.addHook('onRequest', async (request, { raw }) => {
    const hold = admission.bytes();
    request.byteHold = hold;
    // Of all that Fastify tells of, nothing comes when a client goes away after its upload.
    raw.once('close', () => hold.release());
  });
  // The parts of a multipart body are counted where they are read.
  app.addHook('preParsing', async (request, _reply, payload) =>
    request.headers['content-type']?.startsWith(multipartMediaType)
      ? payload
      : counted(payload, request.byteHold),
  );
}

function counted(payload: RequestPayload, hold: ByteHold): RequestPayload {
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
  // Not a pipeline: that would destroy the request with its reader, and nothing could read on from its connection.
  finished(payload, (error) => error && counter.destroy(error));
  // Whoever reads it is told.
  counter.on('error', () => {});
  return payload.pipe(counter);
}

/** How long a client may go on sending what nobody wants any more. */
const patienceMs = 5000;

/**
 * Reads what is left of a body when its request has been answered, as it is with most that are refused, and throws it
 * away. Left unread, the connection would be paused: it would notice neither that its client goes away nor the next
 * request, and the service would wait for it when it stops. Closed at once, it could take the answer with it (RFC 9112,
 * section 9.6).
 */
export function discardUnreadBodies(app: FastifyInstance): void {
  app.addHook('onResponse', async ({ raw }) => {
    if (raw.complete || raw.destroyed) return;
    const late = setTimeout(() => raw.destroy(), patienceMs).unref();
    raw.once('close', () => clearTimeout(late));
    raw.unpipe();
    raw.resume();
  });
}
