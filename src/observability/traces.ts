/**
 * Traces for OpenTelemetry, sent to a collector: a span for each request, as part of the trace its client began (W3C
 * traceparent), and below it the stages of its images.
 */
import { setTimeout as wait } from 'node:timers/promises';
import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { ScoringObserver, StageEnded } from '../scoring/index.js';

/** Time to send the last spans when the service stops. */
const shutdownMs = 2000;

/** Time to send a batch of spans, retries included. */
const sendMs = 3000;

/** Spans are sent this often. */
const sendEveryMs = 1000;

/** At most one report of failed sending in this time. */
const reportEveryMs = 60_000;

const propagator = new W3CTraceContextPropagator();

/** The attributes of a traced request. */
export interface TracedRequest {
  readonly id: string;
  readonly method: string;
  readonly route: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

export class Traces implements ScoringObserver {
  readonly #provider: BasicTracerProvider;
  readonly #tracer: Tracer;
  readonly #requests = new WeakMap<object, { readonly span: Span; readonly context: Context }>();

  /**
   * @param endpoint of a collector that speaks OTLP over HTTP, `http://host:4318/v1/traces`.
   * @param onError called when spans cannot be sent.
   */
  constructor(
    readonly endpoint: string,
    version: string,
    onError: (reason: string) => void,
  ) {
    const exporter = new OTLPTraceExporter({ url: endpoint, timeoutMillis: sendMs });
    this.#provider = new BasicTracerProvider({
      resource: resourceFromAttributes({ 'service.name': 'mkd', 'service.version': version }),
      spanProcessors: [new BatchSpanProcessor(exporter, { scheduledDelayMillis: sendEveryMs })],
    });
    this.#tracer = this.#provider.getTracer('mkd', version);
    let reportedMs = Number.NEGATIVE_INFINITY;
    setGlobalErrorHandler((error) => {
      if (performance.now() - reportedMs < reportEveryMs) return;
      reportedMs = performance.now();
      onError(error instanceof Error ? error.message : String(error));
    });
  }

  /** Begins the span of a request. @param request identifies it until its end. */
  begin(request: object, { id, method, route, headers }: TracedRequest): void {
    const parent = propagator.extract(ROOT_CONTEXT, headers, {
      get: (carrier, name) => carrier[name] as string | string[] | undefined,
      keys: (carrier) => Object.keys(carrier),
    });
    const attributes = { 'http.request.method': method, 'http.route': route, 'mkd.request.id': id };
    const span = this.#tracer.startSpan(`${method} ${route}`, { kind: SpanKind.SERVER, attributes }, parent);
    this.#requests.set(request, { span, context: trace.setSpan(parent, span) });
  }

  end(request: object, status: number): void {
    const span = this.#requests.get(request)?.span;
    span?.setAttribute('http.response.status_code', status);
    if (status >= 500) span?.setStatus({ code: SpanStatusCode.ERROR });
    span?.end();
  }

  ended(stage: StageEnded): void {
    switch (stage.stage) {
      case 'decode':
        this.#span(stage, { 'mkd.image.bytes': stage.image.bytes });
        break;
      case 'inference':
        this.#span(stage, {
          'mkd.detector': stage.image.name,
          'mkd.detector.version': stage.image.detector.version,
          'mkd.map': stage.map,
          'mkd.tiles': stage.tiles,
          'mkd.queue.seconds': stage.queueSeconds,
          'mkd.runtime.seconds': stage.runtimeSeconds,
        });
        break;
      case 'render':
        this.#span(stage, { 'mkd.artifact': stage.artifact });
        break;
    }
  }

  /** Sends what is left, within a bounded time. @throws Error if that fails. */
  async shutdown(): Promise<void> {
    const sent = this.#provider.shutdown().then(() => true);
    // An unreachable collector must not keep the service from stopping.
    const inTime = await Promise.race([sent, wait(shutdownMs, false, { ref: false })]);
    if (!inTime) throw new Error(`not sent within ${shutdownMs} ms`);
  }

  /** Records a stage that has just ended, under its request. */
  #span(stage: Extract<StageEnded, { image: object }>, attributes: Attributes): void {
    const { request } = stage.image;
    const context = request && this.#requests.get(request)?.context;
    if (!context) return;
    const now = Date.now();
    const startTime = now - 1000 * stage.seconds;
    this.#tracer.startSpan(stage.stage, { startTime, attributes }, context).end(now);
  }
}
