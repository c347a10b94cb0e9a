/**
 * Clients that go away. Fastify's own `request.signal` follows the request, which is closed as soon as its body has been
 * read: it aborts too early or never. What counts is the connection of an answer that has not been sent yet.
 */
import type { FastifyInstance } from 'fastify';

declare module 'fastify' {
  interface FastifyRequest {
    /** Aborted when the client goes away before it has its answer. */
    gone: AbortSignal;
  }
}

/** Gives every request its {@link FastifyRequest.gone}. */
export function addGoneSignals(app: FastifyInstance): void {
  app.decorateRequest('gone');
  app.addHook('onRequest', async (request, { raw }) => {
    const gone = new AbortController();
    request.gone = gone.signal;
    raw.once('close', () => {
      if (!raw.writableFinished) gone.abort();
    });
  });
}
