/** What is left of a body when its request has been answered, which is so with most that are refused. */
import type { FastifyInstance } from 'fastify';

/** How long a client may go on sending what nobody wants any more. */
const patienceMs = 5000;

/**
 * Reads it and throws it away. Left unread, the connection would be paused: it would notice neither that its client goes
 * away nor the next request, and the service would wait for it when it stops. Closed at once, it could take the answer
 * with it (RFC 9112, section 9.6).
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
