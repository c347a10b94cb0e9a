/** Health, metrics, and the API's own description. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { Registry } from 'prom-client';
import { Type } from 'typebox';
import { significant } from '../../files/decimals.js';
import type { Service } from '../service.js';
import { liveSchema, readySchema } from './schemas/index.js';

/** Probes come every few seconds: successes are not logged. */
const quiet = { logLevel: 'warn' } as const;

export const healthRoutes: FastifyPluginAsyncTypebox<{ service: Service }> = async (app, { service }) => {
  app.get(
    '/health/live',
    {
      ...quiet,
      schema: {
        operationId: 'live',
        tags: ['operations'],
        summary: 'The process answers',
        response: { 200: liveSchema },
      },
    },
    async () => ({ status: 'live' as const }),
  );

  app.get(
    '/health/ready',
    {
      ...quiet,
      schema: {
        operationId: 'ready',
        tags: ['operations'],
        summary: 'Detectors are verified and warm, requests are accepted',
        response: { 200: readySchema, 503: readySchema },
      },
    },
    async (_request, reply) => {
      const { catalog, status } = service;
      return reply.code(status === 'ready' ? 200 : 503).send({
        status,
        detectors: catalog?.repository.size ?? 0,
        ...(catalog ? { provider: catalog.provider } : {}),
      });
    },
  );
};

/** For Prometheus; on the port of the API, or on a separate one. */
export const metricsRoutes: FastifyPluginAsyncTypebox<{ service: Service }> = async (app, { service }) => {
  app.get(
    '/metrics',
    {
      ...quiet,
      schema: {
        operationId: 'metrics',
        tags: ['operations'],
        summary: 'Metrics for Prometheus',
        produces: ['text/plain'],
        response: { 200: Type.String() },
      },
    },
    async (_request, reply) => {
      const { registry } = service.metrics;
      return reply.type(registry.contentType).send(await textOf(registry));
    },
  );
};

/** The API's own description. */
export const documentRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/openapi.yaml', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('application/yaml').send(app.swagger({ yaml: true })),
  );
};

/** Returns all metrics as text. Written in one go, those of many detectors hold the event loop for 40 ms. */
async function textOf(registry: Registry): Promise<string> {
  const texts: string[] = [];
  for (const { name } of registry.getMetricsAsArray()) {
    texts.push(short(await registry.getSingleMetricAsString(name)));
    await nextTurn();
  }
  return `${texts.join('\n\n')}\n`;
}

/** Returns metrics without digits that nothing was measured with. */
function short(text: string): string {
  return text.replace(/ -?\d+\.\d{9,}$/gm, (number) => ` ${significant(Number(number), 12)}`);
}
