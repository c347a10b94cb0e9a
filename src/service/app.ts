/** The service as a Fastify app that does not listen: routes, schemas, errors, metrics put together. */
import multipart from '@fastify/multipart';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify';
import { addAccessControl } from './access.js';
import type { KeyRing } from './keys.js';
import { imageMediaTypes } from './media-types.js';
import type { Metrics } from './metrics.js';
import { openApiInfo, withUploadBodies } from './openapi.js';
import { ProblemError, problemMediaType, reportProblem } from './problems.js';
import { detectorRoutes } from './routes/detectors.js';
import { operationsRoutes } from './routes/operations.js';
import { resultRoutes } from './routes/results.js';
import { scoreRoutes } from './routes/score.js';
import { createState, type ServiceLimits, type ServiceState } from './state.js';
import { v2Routes } from './v2/routes.js';

export interface AppOptions extends ServiceLimits {
  readonly logger?: FastifyServerOptions['logger'];
  /** API keys to ask for; without them everybody may ask everything. */
  readonly keys?: KeyRing;
}

export type App = FastifyInstance & { readonly service: ServiceState };

/** Builds the app. Hand the catalog to `app.service.start` once it is open. */
export async function buildApp(options: AppOptions = {}): Promise<App> {
  const state = createState(options);
  const app = Fastify({
    logger: options.logger ?? false,
    bodyLimit: state.image.maxBytes,
    requestTimeout: 120_000,
    return503OnClosing: true,
    forceCloseConnections: 'idle',
    requestIdHeader: 'x-request-id',
    routerOptions: { maxParamLength: 200 },
    // What a request has too much is refused by name, not dropped.
    ajv: { customOptions: { removeAdditional: false } },
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.decorate('service', state);

  await addAccessControl(app, options.keys);
  await app.register(multipart);
  app.addContentTypeParser([...imageMediaTypes], { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
  app.removeContentTypeParser(['application/json', 'text/plain']);
  await app.register(swagger, { openapi: openApiInfo, transform: withUploadBodies });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    // Beside a production line the service speaks plain HTTP; a browser must not be sent to HTTPS.
    transformStaticCSP: (policy) => policy.replace(/\s*upgrade-insecure-requests;/, ''),
  });
  addErrorHandling(app, state);
  addRequestMetrics(app, state.metrics);

  await app.register(scoreRoutes, { state });
  await app.register(resultRoutes, { state });
  await app.register(detectorRoutes, { state });
  await app.register(operationsRoutes, { state });
  await app.register(v2Routes, { state });
  await app.ready();
  return app as unknown as App;
}

function addErrorHandling(app: FastifyInstance, { metrics }: ServiceState): void {
  app.setErrorHandler((error, request, reply) => {
    const problem = reportProblem(error, request, reply, metrics);
    return reply
      .code(problem.status)
      .type(problemMediaType)
      .serializer((body: unknown) => JSON.stringify(body))
      .send(problem);
  });
  app.setNotFoundHandler((request) => {
    throw new ProblemError(
      'unknown-route',
      `there is no ${request.method} ${request.url}; /docs lists what there is`,
    );
  });
}

function addRequestMetrics(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown';
    metrics.requests.inc({ route, method: request.method, status: reply.statusCode });
    metrics.requestSeconds.observe({ route }, reply.elapsedTime / 1000);
  });
}
