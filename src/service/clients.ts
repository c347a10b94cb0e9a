/**
 * When a client began to wait, and when it goes away. Fastify's own `request.signal` follows the request, which is closed as soon as its body has been
 * read: it aborts too early or never. What counts is the connection of an answer that has not been sent yet.
 */
import { setMaxListeners } from 'node:events';
import type { FastifyInstance } from 'fastify';
import { systemClock } from '../batching/index.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Aborted when the client goes away before it has its answer. */
    gone: AbortSignal;
    /** When it came, by the system's clock, in milliseconds. */
    arrivedMs: number;
  }
}

/** Tells of every request when it came and whether its client is {@link FastifyRequest.gone}. */
export function watchClients(app: FastifyInstance): void {
  app.decorateRequest('gone');
  app.decorateRequest('arrivedMs', 0);
  app.addHook('onRequest', async (request, { raw }) => {
    const gone = new AbortController();
    // Each of its images listens.
    setMaxListeners(0, gone.signal);
    request.gone = gone.signal;
    request.arrivedMs = systemClock.now();
    raw.once('close', () => {
      if (!raw.writableFinished) gone.abort();
    });
  });
}
