/**
 * Traces for OpenTelemetry, sent to a collector where one is named: a span for each request, as a part of the trace its
 * client began (W3C traceparent), with the stages of its images under it.
 */
import { setTimeout as wait } from 'node:timers/promises';
import {
  type Attributes,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { FastifyInstance } from 'fastify';
import { packageVersion } from './openapi.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Its trace, where traces are recorded. */
    trace: RequestTrace | undefined;
  }
}

/** The trace of one request. */
export interface RequestTrace {
  /** A stage that has just ended, after so many seconds. */
  stage(name: string, seconds: number, attributes?: Attributes): void;
}

/** How long the last traces may take to be sent when the service stops. */
const sendMs = 2000;

/** How often it is said that traces are not sent. */
const tellEveryMs = 60_000;

const propagator = new W3CTraceContextPropagator();

/** Probes come every few seconds and tell nothing. */
const untraced = /^\/(v2\/)?(metrics|health)/;

/**
 * Records a span for every request but probes; what is left is sent when the app closes.
 * @param endpoint of a collector that speaks OTLP over HTTP, `http://host:4318/v1/traces`.
 */
export function addTracing(app: FastifyInstance, endpoint: string): void {
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'mkd', 'service.version': packageVersion }),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url: endpoint }))],
  });
  let toldMs = Number.NEGATIVE_INFINITY;
  setGlobalErrorHandler((error) => {
    if (performance.now() - toldMs < tellEveryMs) return;
    toldMs = performance.now();
    const reason = error instanceof Error ? error.message : String(error);
    app.log.warn({ endpoint, reason }, 'traces are not sent');
  });
  const tracer = provider.getTracer('mkd', packageVersion);
  const spans = new WeakMap<object, Span>();
  app.addHook('onRequest', async (request) => {
    const { url = 'unknown' } = request.routeOptions;
    if (untraced.test(url)) return;
    const parent = propagator.extract(ROOT_CONTEXT, request.headers, {
      get: (headers, name) => headers[name],
      keys: (headers) => Object.keys(headers),
    });
    const attributes = {
      'http.request.method': request.method,
      'http.route': url,
      'mkd.request.id': request.id,
    };
    const span = tracer.startSpan(`${request.method} ${url}`, { kind: SpanKind.SERVER, attributes }, parent);
    const context = trace.setSpan(parent, span);
    spans.set(request, span);
    request.trace = {
      stage: (name, seconds, more = {}) => {
        const now = Date.now();
        tracer.startSpan(name, { startTime: now - 1000 * seconds, attributes: more }, context).end(now);
      },
    };
  });
  app.addHook('onResponse', async (request, { statusCode }) => {
    const span = spans.get(request);
    span?.setAttribute('http.response.status_code', statusCode);
    if (statusCode >= 500) span?.setStatus({ code: SpanStatusCode.ERROR });
    span?.end();
  });
  app.addHook('onClose', async () => {
    // A collector that is gone must not keep the service from ending.
    const sent = provider.shutdown().then(() => true);
    const inTime = Promise.race([sent, wait(sendMs, false, { ref: false })]);
    const done = await inTime.catch((error: Error) => error);
    if (done !== true) app.log.warn(done || undefined, 'the last traces were not sent');
  });
}
