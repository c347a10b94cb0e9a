/**
 * When a request arrived, and when its client disconnects. Fastify's own `request.signal` follows the request, which is
 * closed once its body has been read: it aborts too early or never. This follows the connection of the response.
 */
import { setMaxListeners } from 'node:events';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { systemClock } from '../../batching/index.js';
import type { Deadline } from '../../scoring/index.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Aborted if the client disconnects before it has the response. */
    disconnected: AbortSignal;
    /** When it arrived, by {@link systemClock}, in milliseconds. */
    receivedAtMs: number;
  }
}

/** Records when every request arrived, and whether its client is {@link FastifyRequest.disconnected}. */
export function watchClients(app: FastifyInstance): void {
  app.decorateRequest('disconnected');
  app.decorateRequest('receivedAtMs', 0);
  app.addHook('onRequest', async (request, { raw }) => {
    const gone = new AbortController();
    // Each image of the request listens.
    setMaxListeners(0, gone.signal);
    request.disconnected = gone.signal;
    request.receivedAtMs = systemClock.now();
    raw.once('close', () => {
      if (!raw.writableFinished) gone.abort();
    });
  });
}

/** @param defaultMs timeout of an image, unless the client sets one. */
export function deadlineOf(
  { headers, disconnected, receivedAtMs }: FastifyRequest,
  defaultMs: number,
): Deadline {
  const asked = Number(headers['mkd-timeout-ms'] ?? Number.NaN);
  const timeoutMs = Number.isFinite(asked) ? asked : defaultMs;
  return { signal: disconnected, timeoutMs, atMs: receivedAtMs + timeoutMs };
}
