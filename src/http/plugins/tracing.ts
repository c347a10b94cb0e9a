/** Records a span for every request, if traces are on. */
import type { FastifyInstance } from 'fastify';
import type { Traces } from '../../observability/index.js';

/** Probes come every few seconds and are not traced. */
const untraced = /^\/(v2\/)?(metrics|health)/;

export function addTracing(app: FastifyInstance, traces: Traces): void {
  app.addHook('onRequest', async (request) => {
    const { id, method, headers } = request;
    const { url: route = 'unknown' } = request.routeOptions;
    if (!untraced.test(route)) traces.begin(request, { id, method, route, headers });
  });
  app.addHook('onResponse', async (request, { statusCode }) => traces.end(request, statusCode));
  app.addHook('onClose', async () => {
    await traces.shutdown().catch((error: Error) => app.log.warn(error, 'the last traces were not sent'));
  });
}
