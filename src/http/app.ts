/** The service as a Fastify app that does not listen yet: plugins and routes. */
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
  LogController,
  type RawRequestDefaultExpression,
} from 'fastify';
import type { Metrics } from '../observability/index.js';
import { logReachable, openSharedResults, openTraces } from './optional-parts.js';
import { pageRoutes } from './page.js';
import { addAccessControl } from './plugins/auth.js';
import { countBodies, discardUnreadBodies } from './plugins/bodies.js';
import { watchClients } from './plugins/clients.js';
import type { KeyRing } from './plugins/keys.js';
import { anyImageType, imageMediaTypes } from './plugins/media-types.js';
import { completeDocument, openApiInfo, withUploadBodies } from './plugins/openapi.js';
import { ProblemError, problemMediaType, reportProblem } from './plugins/problems.js';
import { logRequests } from './plugins/request-log.js';
import { addTracing } from './plugins/tracing.js';
import { Service, type ServiceOptions } from './service.js';
import { detectorRoutes } from './v1/detectors.js';
import { jobRoutes } from './v1/jobs.js';
import { documentRoutes, healthRoutes, metricsRoutes } from './v1/operations.js';
import { resultRoutes } from './v1/results.js';
import { scoreRoutes } from './v1/score.js';
import { lengthHeaderName } from './v2/infer.js';
import { v2Routes } from './v2/routes.js';

export interface AppOptions extends Omit<ServiceOptions, 'observers' | 'sharedResults'> {
  readonly logger?: FastifyServerOptions['logger'];
  /** Required API keys; without them everyone may score and read, and no one may change detectors. */
  readonly keys?: KeyRing;
  /** Without keys: whether requests from this machine may change detectors. */
  readonly localAdmin?: boolean;
  /** Origins whose pages may call the API from a browser, `*` for all; by default none. */
  readonly corsOrigins?: readonly string[];
  /** Certificate and key, as PEM. */
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer };
  /** Where traces are sent, OTLP over HTTP; without it none are recorded. */
  readonly traces?: string | undefined;
  /** Redis where replicas share their results; without it each replica knows its own. */
  readonly resultsUrl?: string | undefined;
  /** Whether /metrics is on a separate port, see {@link buildOperationsApp}. */
  readonly metricsElsewhere?: boolean;
}

export type App = FastifyInstance & { readonly service: Service };

/** Builds the app. Pass the catalog to `app.service.start` once it is open. */
export async function buildApp(options: AppOptions = {}): Promise<App> {
  const traces = await openTraces(options.traces, (reason) =>
    app.log.warn({ endpoint: options.traces, reason }, 'traces are not sent'),
  );
  const sharedResults = await openSharedResults(options.resultsUrl, options.results, {
    onChange: (change) => logReachable(app.log, change),
    onError: () => service.metrics.resultNotShared(),
  });
  const service = new Service({ ...options, sharedResults, observers: traces ? [traces] : [] });
  const app = Fastify({
    ...(options.tls ? { https: options.tls } : {}),
    logger: options.logger ?? false,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: service.image.maxBytes,
    requestTimeout: 120_000,
    // Requests over open connections are still answered, and the answer closes the connection.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    requestIdHeader: false,
    genReqId: requestId,
    // The schemas of the routes limit path parameters, with a better message.
    routerOptions: { maxParamLength: 16_384 },
    // A malformed path matches no route, so no error handler of a route runs.
    frameworkErrors: (error, request, reply) => answerError(error, request, reply, service.metrics),
    // Unknown parameters are refused by name, not dropped. Verbose errors carry the schema, which lists the known ones.
    // With strict numbers, infinity would pass the bounds of a number in the query.
    ajv: { customOptions: { removeAdditional: false, verbose: true, strictNumbers: false } },
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.decorate('service', service);
  const routes: RoutesByPath = new Map();
  app.addHook('onRoute', ({ url, method }) => {
    routes.set(url, [...(routes.get(url) ?? []), ...[method].flat()]);
  });

  if (traces) addTracing(app, traces);
  watchClients(app);
  app.addHook('onRequest', showRequestId);
  logRequests(app);
  app.addHook('onSend', async ({ raw }, reply) => {
    // Closing the connection while the body arrives would lose the response.
    if (service.stopping && raw.complete) reply.header('connection', 'close');
  });
  refuseCompressed(app);
  countBodies(app, service.admission, service.timeoutMs);
  discardUnreadBodies(app);
  const { corsOrigins = [] } = options;
  if (corsOrigins.length > 0) {
    const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'];
    await app.register(cors, {
      // Browsers send the host in lower case.
      origin: corsOrigins.includes('*') ? '*' : corsOrigins.map((origin) => new URL(origin).origin),
      methods,
      exposedHeaders: [...exposedHeaders],
    });
  }
  await addAccessControl(app, {
    keys: options.keys,
    localAdmin: options.localAdmin,
    forOtherOrigins: corsOrigins.length > 0,
  });
  // Some routes list a file that is too large among others.
  await app.register(multipart, { throwFileSizeLimit: false });
  for (const type of [...imageMediaTypes, anyImageType]) {
    app.addContentTypeParser(type, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  }
  app.removeContentTypeParser(['application/json', 'text/plain']);
  const optionalBodies = new Set<string>();
  app.addHook('onRoute', ({ config, schema }) => {
    if (config?.bodyIsOptional && schema?.operationId) optionalBodies.add(schema.operationId);
  });
  await app.register(swagger, {
    openapi: openApiInfo,
    transform: withUploadBodies,
    transformObject: completeDocument(optionalBodies),
  });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    // Next to a production line the service speaks plain HTTP; browsers must not be sent to HTTPS.
    // Pictures in answers are shown as blobs.
    transformStaticCSP: (policy) =>
      policy.replace(/\s*upgrade-insecure-requests;/, '').replace(/img-src ([^;]*)/, 'img-src $1 blob:'),
  });
  addErrorHandling(app, service.metrics, '; /docs lists all routes');
  addRequestMetrics(app, service.metrics);

  await app.register(scoreRoutes, { service });
  await app.register(resultRoutes, { service });
  await app.register(detectorRoutes, { service });
  await app.register(jobRoutes, { service });
  await app.register(healthRoutes, { service });
  if (!options.metricsElsewhere) await app.register(metricsRoutes, { service });
  await app.register(documentRoutes);
  await app.register(pageRoutes);
  await app.register(v2Routes, { service });
  refuseOtherMethods(app, routes);
  await app.ready();
  return app as unknown as App;
}

/** Health and metrics alone, for a port that only operators can reach: it needs no key. */
export async function buildOperationsApp(
  { service }: App,
  logger: AppOptions['logger'],
): Promise<FastifyInstance> {
  const app = Fastify({
    logger: logger ?? false,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: 'idle',
    requestIdHeader: false,
    genReqId: requestId,
  });
  app.addHook('onRequest', showRequestId);
  logRequests(app);
  addErrorHandling(app, service.metrics, ' on this port, which has /metrics and /health');
  await app.register(healthRoutes, { service });
  await app.register(metricsRoutes, { service });
  await app.ready();
  return app;
}

/** Headers that pages of other origins may read. */
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

/** Returns the id in the request header if it is valid, or a new one. */
function requestId({ headers }: RawRequestDefaultExpression): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:/+=-]{1,128}$/.test(given) ? given : randomUUID();
}

async function showRequestId(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  reply.header('x-request-id', request.id);
}

/** Methods of each path. */
type RoutesByPath = Map<string, string[]>;

/** Answers unsupported methods of known paths with 405 and the supported ones. */
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
      // Before the body is read.
      onRequest: async (request, reply) => {
        reply.header('allow', allowed.join(', '));
        throw new ProblemError(
          'method-not-allowed',
          `${request.url} does not support ${request.method}; it supports ${allowed.join(', ')}`,
        );
      },
      handler: () => undefined,
    });
  }
}

/** @param hint for clients that ask for an unknown route. */
function addErrorHandling(app: FastifyInstance, metrics: Metrics, hint: string): void {
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply, metrics));
  const unknownRoute = async ({ method, url }: FastifyRequest): Promise<never> => {
    throw new ProblemError('unknown-route', `there is no ${method} ${url}${hint}`);
  };
  // Before the body is read.
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

/** The Open Inference Protocol has its own error format, and its routes decompress bodies themselves. */
function isV2(url: string): boolean {
  return /^\/v2(\/|\?|$)/.test(url);
}

function refuseCompressed(app: FastifyInstance): void {
  app.addHook('preParsing', async ({ headers, url }) => {
    const { 'content-encoding': encoding = 'identity' } = headers;
    if (encoding === 'identity' || isV2(url)) return;
    throw new ProblemError(
      'unsupported-media-type',
      `the content encoding '${encoding}' is not supported: images are already compressed; send the body without it`,
    );
  });
}

function addRequestMetrics(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown';
    metrics.request(route, request.method, reply.statusCode, reply.elapsedTime / 1000);
  });
}
