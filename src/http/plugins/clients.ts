/**
 * When a client began to wait, and when it disconnects. Fastify's own `request.signal` follows the request, which is
 * closed once its body has been read: it aborts too early or never. What counts is the connection of an answer that has
 * not been sent yet.
 */
import { setMaxListeners } from 'node:events';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { systemClock } from '../../batching/index.js';
import type { Deadline } from '../../scoring/index.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Aborted when the client disconnects before it has its answer. */
    gone: AbortSignal;
    /** When it arrived, by {@link systemClock}, in milliseconds. */
    arrivedMs: number;
  }
}

/** Notes for every request when it arrived, and whether its client is {@link FastifyRequest.gone}. */
export function watchClients(app: FastifyInstance): void {
  app.decorateRequest('gone');
  app.decorateRequest('arrivedMs', 0);
  app.addHook('onRequest', async (request, { raw }) => {
    const gone = new AbortController();
    // Each image of the request listens.
    setMaxListeners(0, gone.signal);
    request.gone = gone.signal;
    request.arrivedMs = systemClock.now();
    raw.once('close', () => {
      if (!raw.writableFinished) gone.abort();
    });
  });
}

/** @param defaultMs how long an image may take unless the client says so. */
export function deadlineOf({ headers, gone, arrivedMs }: FastifyRequest, defaultMs: number): Deadline {
  const asked = Number(headers['mkd-timeout-ms'] ?? Number.NaN);
  const timeoutMs = Number.isFinite(asked) ? asked : defaultMs;
  return { signal: gone, timeoutMs, atMs: arrivedMs + timeoutMs };
}
