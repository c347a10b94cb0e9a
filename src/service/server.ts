/** Starting and stopping the service. */
import type { Server } from 'node:https';
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { type App, type AppOptions, buildApp, buildOperationsApp } from './app.js';
import { Catalog, type CatalogOptions } from './catalog.js';
import { trackUnusedConnections, trackUploads } from './connections.js';
import { KeyRing } from './keys.js';
import { followTls, readTls, type TlsFiles } from './tls.js';

/** How often connections that have become idle are closed while the service stops. */
const closeIdleEveryMs = 100;

/**
 * How long what clients send may still take to arrive once the service stops, at most: what has not arrived was not
 * accepted.
 */
const uploadMs = 5000;

/** How long is read what was sent before the service stops, at most. */
const readMs = 2000;

/** Turns of the event loop without news after which there is none. */
const quietTurns = 5;

/** The port cannot be opened; the message says why, and with which flag of `mkd serve` another is chosen. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

export interface ServeOptions extends CatalogOptions {
  /** File of API keys to ask for; the service follows its changes. */
  readonly keys?: string | undefined;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** A port of its own for /metrics and, again, /health; 0 takes a free one. */
  readonly operationsPort?: number | undefined;
  /** For HTTPS; renewed files are taken over. */
  readonly tls?: TlsFiles | undefined;
  /** How long requests are still taken once it is told to stop and no longer ready; by default not at all. */
  readonly stopDelayMs?: number;
  /** How long it may take to stop; uploads that are under way have half of what is left of it, 5 s at most. */
  readonly drainMs?: number;
  /** Ends the start, while detectors are verified. */
  readonly signal?: AbortSignal;
  readonly app?: Omit<AppOptions, 'keys' | 'tls' | 'metricsElsewhere'>;
}

export interface RunningService {
  readonly app: App;
  /** `http://host:port`, or `https:` */
  readonly address: string;
  /** The same of the port for operations, if it has one. */
  readonly operationsAddress: string | undefined;
  /** Answers what was accepted, takes nothing new, frees everything. */
  stop(): Promise<void>;
}

/**
 * Listens at once, so that probes are answered, then verifies the detectors and becomes ready.
 * @throws the signal's reason; KeyFileError, ListenError, DetectorError, RuntimeError when there is nothing to serve or nothing to run it on.
 */
export async function serve(options: ServeOptions): Promise<RunningService> {
  const keys = options.keys === undefined ? undefined : await KeyRing.open(options.keys);
  const tls = options.tls && (await readTls(options.tls));
  const { host, operationsPort } = options;
  const app = await buildApp({
    ...options.app,
    ...(keys ? { keys } : {}),
    ...(tls ? { tls } : {}),
    metricsElsewhere: operationsPort !== undefined,
  });
  keys?.follow((change) => {
    if (change instanceof Error) app.log.error(change, 'the file of keys cannot be used; the old keys stay');
    else app.log.info({ keys: change.length }, 'API keys read again');
  });
  const endUnused = trackUnusedConnections(app.server, tls ? 'secureConnection' : 'connection');
  const endUploads = trackUploads(app.server);
  const stopFollowing = options.tls && followTls(options.tls, (change) => renew(app, change));
  const operations =
    operationsPort === undefined ? undefined : await buildOperationsApp(app, options.app?.logger);
  const close = async (): Promise<void> => {
    const closed = app.close();
    endUnused();
    const closing = setInterval(() => app.server.closeIdleConnections(), closeIdleEveryMs);
    await closed.finally(() => clearInterval(closing));
    // Whoever watches sees the end of it.
    await operations?.close();
    stopFollowing?.();
    keys?.close();
  };
  let address: string;
  let operationsAddress: string | undefined;
  try {
    address = await listen(app, host, options.port, '--port');
    operationsAddress =
      operations && (await listen(operations, host, operationsPort as number, '--operations-port'));
    app.service.start(
      await Catalog.open(options, app.log, (cause) => app.service.metrics.workerRestarts.inc({ cause })),
    );
  } catch (error) {
    app.service.status = 'failed';
    await close();
    throw error;
  }
  app.log.info({ address, provider: app.service.catalog?.provider }, 'ready');
  return {
    app,
    address,
    operationsAddress,
    async stop() {
      const { stopDelayMs = 0, drainMs = Number.POSITIVE_INFINITY } = options;
      app.service.beginStop();
      // Load balancers notice.
      await wait(stopDelayMs);
      await allRead(app);
      const late = setTimeout(
        () => {
          const uploads = endUploads();
          if (uploads > 0) app.log.warn({ uploads }, 'uploads that did not come to their end are cut off');
        },
        Math.min(uploadMs, (drainMs - stopDelayMs) / 2),
      );
      await close().finally(() => clearTimeout(late));
      await app.service.close();
    },
  };
}

/** @param flag what the port is chosen with. @throws ListenError */
async function listen(
  app: Pick<FastifyInstance, 'listen'>,
  host: string,
  port: number,
  flag: string,
): Promise<string> {
  return app.listen({ host, port }).catch((error: NodeJS.ErrnoException) => {
    switch (error.code) {
      case 'EADDRINUSE':
        throw new ListenError(`port ${port} is taken; choose another with ${flag}`);
      case 'EACCES':
        throw new ListenError(`port ${port} may not be opened; choose one above 1023 with ${flag}`);
      case 'EADDRNOTAVAIL':
      case 'ENOTFOUND':
      case 'EAI_AGAIN':
      case 'EINVAL':
        throw new ListenError(`'${host}' is no address of this machine; choose another with --host`);
      default:
        throw error;
    }
  });
}

/**
 * Waits until what was sent by now is read: closing would cut off connections that the system has taken and we have not.
 * The event loop takes one in each turn; once none comes for some turns, there is none left.
 */
async function allRead({ server }: App): Promise<void> {
  const until = performance.now() + readMs;
  let news = true;
  const onNews = (): void => {
    news = true;
  };
  server.on('connection', onNews).on('request', onNews);
  while (news && performance.now() < until) {
    news = false;
    for (let turn = 0; turn < quietTurns; turn++) await nextTurn();
  }
  server.off('connection', onNews).off('request', onNews);
}

function renew(app: App, change: { cert: Buffer; key: Buffer } | Error): void {
  if (change instanceof Error) {
    app.log.error(change, 'the certificate cannot be used; the old one stays');
    return;
  }
  (app.server as unknown as Server).setSecureContext(change);
  app.log.info('certificate read again');
}
