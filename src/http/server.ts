/** Starting and stopping the service. */
import type { Server } from 'node:https';
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { applyProcessSettings } from '../imaging/index.js';
import { type App, type AppOptions, buildApp, buildOperationsApp } from './app.js';
import { Catalog, type CatalogOptions } from './catalog.js';
import { trackUnusedConnections, trackUploads } from './plugins/connections.js';
import { KeyRing } from './plugins/keys.js';
import { followTls, readTls, type TlsFiles } from './plugins/tls.js';

/** How often idle connections are closed while the service stops. */
const closeIdleEveryMs = 100;

/** Maximum time for unfinished uploads after the service stops: a request that has not arrived was not accepted. */
const uploadMs = 5000;

/** Maximum time to read requests that were sent before the stop. */
const readMs = 2000;

/** After this many turns of the event loop without a new request, none is left. */
const idleTurns = 5;

/** The port cannot be opened; the message says why, and which flag of `mkd serve` sets another. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

export interface ServeOptions extends CatalogOptions {
  /** File of required API keys; the service follows its changes. */
  readonly keys?: string | undefined;
  readonly host: string;
  /** 0 chooses a free one. */
  readonly port: number;
  /** A separate port for /metrics and /health; 0 chooses a free one. */
  readonly operationsPort?: number | undefined;
  /** For HTTPS; renewed files are loaded. */
  readonly tls?: TlsFiles | undefined;
  /** How long requests are still accepted after the stop signal, while the service is not ready; default 0. */
  readonly stopDelayMs?: number;
  /** How long stopping may take; unfinished uploads get half of the remaining time, at most 5 s. */
  readonly drainMs?: number;
  /** Aborts the start, while detectors are verified. */
  readonly signal?: AbortSignal;
  readonly app?: Omit<AppOptions, 'keys' | 'tls' | 'metricsElsewhere'>;
}

export interface RunningService {
  readonly app: App;
  /** `http://host:port`, or `https:` */
  readonly address: string;
  /** The same for the operations port, if there is one. */
  readonly operationsAddress: string | undefined;
  /** Answers accepted requests, accepts no more, and frees everything. */
  stop(): Promise<void>;
}

/**
 * Listens at once, so that probes are answered, then verifies the detectors and becomes ready. Applies the process-wide
 * settings of sharp: the process belongs to the service.
 * @throws the signal's reason; KeyFileError, TlsError, ListenError; DetectorError if there is nothing to serve;
 * RuntimeError if the provider is unavailable.
 */
export async function serve(options: ServeOptions): Promise<RunningService> {
  applyProcessSettings();
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
    if (change instanceof Error)
      app.log.error(change, 'the key file cannot be used; the old keys stay valid');
    else app.log.info({ keys: change.length }, 'API keys reloaded');
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
    // Last, so that metrics are available until the end.
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
      await Catalog.open(options, app.log, (cause) => app.service.metrics.workerReplaced(cause)),
    );
  } catch (error) {
    app.service.fail();
    await close();
    throw error;
  }
  app.log.info({ address, operationsAddress, provider: app.service.catalog?.provider }, 'ready');
  if (!keys && !isLoopback(host)) {
    app.log.warn(
      { host },
      'there are no keys: whoever reaches this address may score; make keys with the command keys add, and pass --keys',
    );
  }
  return {
    app,
    address,
    operationsAddress,
    async stop() {
      const { stopDelayMs = 0, drainMs = Number.POSITIVE_INFINITY } = options;
      app.service.beginStop();
      // Time for load balancers to notice.
      await wait(stopDelayMs);
      await drainAcceptedConnections(app);
      const late = setTimeout(
        () => {
          const uploads = endUploads();
          if (uploads > 0) app.log.warn({ uploads }, 'unfinished uploads were aborted');
        },
        Math.min(uploadMs, (drainMs - stopDelayMs) / 2),
      );
      await close().finally(() => clearTimeout(late));
      await app.service.close();
    },
  };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

/** @param flag that chooses the port. @throws ListenError */
async function listen(
  app: Pick<FastifyInstance, 'listen' | 'log'>,
  host: string,
  port: number,
  flag: string,
): Promise<string> {
  // Fastify would log every address of the machine. The line that says `ready` names the one to use.
  const { level } = app.log;
  app.log.level = 'warn';
  try {
    return await app.listen({ host, port });
  } catch (error) {
    switch ((error as NodeJS.ErrnoException).code) {
      case 'EADDRINUSE':
        throw new ListenError(`port ${port} is in use; choose another with ${flag}`);
      case 'EACCES':
        throw new ListenError(`port ${port} needs more privileges; choose one above 1023 with ${flag}`);
      case 'EADDRNOTAVAIL':
      case 'ENOTFOUND':
      case 'EAI_AGAIN':
      case 'EINVAL':
        throw new ListenError(`'${host}' is not an address of this machine; choose another with --host`);
      default:
        throw error;
    }
  } finally {
    app.log.level = level;
  }
}

/**
 * Waits until everything sent so far has been read: closing would reset connections that the system has accepted and
 * Node has not. The event loop accepts one per turn; after some turns without one, none is left.
 */
async function drainAcceptedConnections({ server }: App): Promise<void> {
  const until = performance.now() + readMs;
  let news = true;
  const onNews = (): void => {
    news = true;
  };
  server.on('connection', onNews).on('request', onNews);
  while (news && performance.now() < until) {
    news = false;
    for (let turn = 0; turn < idleTurns; turn++) await nextTurn();
  }
  server.off('connection', onNews).off('request', onNews);
}

function renew(app: App, change: { cert: Buffer; key: Buffer } | Error): void {
  if (change instanceof Error) {
    app.log.error(change, 'the certificate cannot be used; the old one stays in use');
    return;
  }
  (app.server as unknown as Server).setSecureContext(change);
  app.log.info('certificate reloaded');
}
