/** The service as a Fastify app that does not listen: routes, schemas, errors, metrics put together. */
import { randomUUID } from 'node:crypto';
import cors from '@fastify/cors';
import multipart from '@fastify/multipart';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
  type RawRequestDefaultExpression,
} from 'fastify';
import { addAccessControl } from './access.js';
import { countBodies, discardUnreadBodies } from './bodies.js';
import { watchClients } from './clients.js';
import type { KeyRing } from './keys.js';
import { imageMediaTypes } from './media-types.js';
import type { Metrics } from './metrics.js';
import { openApiInfo, withOptionalBodies, withUploadBodies } from './openapi.js';
import { ProblemError, problemMediaType, reportProblem } from './problems.js';
import { detectorRoutes } from './routes/detectors.js';
import { documentRoutes, healthRoutes, metricsRoutes } from './routes/operations.js';
import { resultRoutes } from './routes/results.js';
import { scoreRoutes } from './routes/score.js';
import { createState, type ServiceLimits, type ServiceState } from './state.js';
import { addTracing } from './tracing.js';
import { lengthHeaderName } from './v2/infer.js';
import { v2Routes } from './v2/routes.js';

export interface AppOptions extends ServiceLimits {
  readonly logger?: FastifyServerOptions['logger'];
  /** API keys to ask for; without them everybody may score and read, and nobody may change detectors. */
  readonly keys?: KeyRing;
  /** Origins whose pages may call the API from a browser, `*` for all; by default none. */
  readonly corsOrigins?: readonly string[];
  /** Certificate and key, as PEM. */
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer };
  /** Where traces are sent, OTLP over HTTP; without it none are recorded. */
  readonly traces?: string | undefined;
  /** Whether /metrics is on a port of its own, see {@link buildOperationsApp}. */
  readonly metricsElsewhere?: boolean;
}

export type App = FastifyInstance & { readonly service: ServiceState };

/** Builds the app. Hand the catalog to `app.service.start` once it is open. */
export async function buildApp(options: AppOptions = {}): Promise<App> {
  const state = createState(options);
  const app = Fastify({
    ...(options.tls ? { https: options.tls } : {}),
    logger: options.logger ?? false,
    bodyLimit: state.image.maxBytes,
    requestTimeout: 120_000,
    // What comes over connections that are open still is answered, and they are closed by that.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    requestIdHeader: false,
    genReqId: requestId,
    // The schemas of the routes bound what is in a path, and say so.
    routerOptions: { maxParamLength: 16_384 },
    // A path that cannot be read belongs to no route, whose error handler could answer.
    frameworkErrors: (error, request, reply) => answerError(error, request, reply, state.metrics),
    // What a request has too much is refused by name, not dropped. Verbose errors carry the schema that says what there is.
    // Strict numbers would let infinity past the bounds of a number in the query.
    ajv: { customOptions: { removeAdditional: false, verbose: true, strictNumbers: false } },
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.decorate('service', state);
  const routes: RoutesByPath = new Map();
  app.addHook('onRoute', ({ url, method }) => {
    routes.set(url, [...(routes.get(url) ?? []), ...[method].flat()]);
  });

  app.decorateRequest('trace');
  if (options.traces !== undefined) addTracing(app, options.traces);
  watchClients(app);
  app.addHook('onRequest', showRequestId);
  app.addHook('onSend', async ({ raw }, reply) => {
    // Closed with a body half read, it would take the answer with it.
    if (state.status === 'stopping' && raw.complete) reply.header('connection', 'close');
  });
  refuseCompressed(app);
  countBodies(app, state.admission);
  discardUnreadBodies(app);
  const { corsOrigins = [] } = options;
  if (corsOrigins.length > 0) {
    const methods = ['GET', 'HEAD', 'POST', 'DELETE'];
    await app.register(cors, {
      origin: corsOrigins.includes('*') ? '*' : [...corsOrigins],
      methods,
      exposedHeaders: [...exposedHeaders],
    });
  }
  await addAccessControl(app, options.keys, corsOrigins.length > 0);
  await app.register(multipart);
  app.addContentTypeParser([...imageMediaTypes], { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
  app.removeContentTypeParser(['application/json', 'text/plain']);
  const optionalBodies = new Set<string>();
  app.addHook('onRoute', ({ config, schema }) => {
    if (config?.bodyIsOptional && schema?.operationId) optionalBodies.add(schema.operationId);
  });
  await app.register(swagger, {
    openapi: openApiInfo,
    transform: withUploadBodies,
    transformObject: withOptionalBodies(optionalBodies),
  });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    // Beside a production line the service speaks plain HTTP; a browser must not be sent to HTTPS.
    transformStaticCSP: (policy) => policy.replace(/\s*upgrade-insecure-requests;/, ''),
  });
  addErrorHandling(app, state, '; /docs lists what there is');
  addRequestMetrics(app, state.metrics);

  await app.register(scoreRoutes, { state });
  await app.register(resultRoutes, { state });
  await app.register(detectorRoutes, { state });
  await app.register(healthRoutes, { state });
  if (!options.metricsElsewhere) await app.register(metricsRoutes, { state });
  await app.register(documentRoutes);
  await app.register(v2Routes, { state });
  refuseOtherMethods(app, routes);
  await app.ready();
  return app as unknown as App;
}

/** Health and metrics alone, for a port that only those reach who watch the service: it asks for no key. */
export async function buildOperationsApp(
  { service }: App,
  logger: AppOptions['logger'],
): Promise<FastifyInstance> {
  const app = Fastify({
    logger: logger ?? false,
    forceCloseConnections: 'idle',
    requestIdHeader: false,
    genReqId: requestId,
  });
  app.addHook('onRequest', showRequestId);
  addErrorHandling(app, service, ' on this port, which has /metrics and /health');
  await app.register(healthRoutes, { state: service });
  await app.register(metricsRoutes, { state: service });
  await app.ready();
  return app;
}

/** Headers of answers that pages of other origins may read. */
const exposedHeaders = [
  'mkd-result-id',
  'mkd-score',
  'mkd-threshold',
  'mkd-verdict',
  'retry-after',
  'x-request-id',
  'x-ratelimit-limit',
  'x-ratelimit-remaining',
  'x-ratelimit-reset',
  lengthHeaderName,
] as const;

/** The id that came with a request, where it is one, or a new one. */
function requestId({ headers }: RawRequestDefaultExpression): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:/+=-]{1,128}$/.test(given) ? given : randomUUID();
}

async function showRequestId(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  reply.header('x-request-id', request.id);
}

/** Methods of each path. */
type RoutesByPath = Map<string, string[]>;

/** Answers other methods of the paths of the API with what would be right. */
function refuseOtherMethods(app: FastifyInstance, routes: RoutesByPath): void {
  for (const [url, methods] of [...routes]) {
    if (url.startsWith('/docs') || url.includes('*')) continue;
    const allowed = [...new Set(methods)];
    const others = app.supportedMethods.filter((method) => !allowed.includes(method));
    app.route({
      method: others,
      url,
      schema: { hide: true },
      config: { scope: 'none' },
      // Before anything is made of a body.
      onRequest: async (request, reply) => {
        reply.header('allow', allowed.join(', '));
        throw new ProblemError(
          'method-not-allowed',
          `${request.url} does not take ${request.method}; it takes ${allowed.join(', ')}`,
        );
      },
      handler: () => undefined,
    });
  }
}

/** @param hint for whoever asks for what is not there. */
function addErrorHandling(app: FastifyInstance, { metrics }: ServiceState, hint: string): void {
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply, metrics));
  const unknownRoute = async ({ method, url }: FastifyRequest): Promise<never> => {
    throw new ProblemError('unknown-route', `there is no ${method} ${url}${hint}`);
  };
  // Before anything is made of a body.
  app.addHook('onRequest', async (request) => {
    if (request.is404) await unknownRoute(request);
  });
  app.setNotFoundHandler(unknownRoute);
}

function answerError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  metrics: Metrics,
): FastifyReply {
  const problem = reportProblem(error, request, reply, metrics);
  const v2 = isV2(request.url);
  return reply
    .code(problem.status)
    .type(v2 ? 'application/json' : problemMediaType)
    .serializer((body: unknown) => JSON.stringify(body))
    .send(v2 ? { error: problem.detail } : problem);
}

/** The Open Inference Protocol has errors of its own form, and expands bodies itself. */
function isV2(url: string): boolean {
  return /^\/v2(\/|\?|$)/.test(url);
}

function refuseCompressed(app: FastifyInstance): void {
  app.addHook('preParsing', async ({ headers, url }) => {
    const { 'content-encoding': encoding = 'identity' } = headers;
    if (encoding === 'identity' || isV2(url)) return;
    throw new ProblemError(
      'unsupported-media-type',
      `the content encoding '${encoding}' is not taken: images are compressed by themselves; send the body as it is`,
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
