/** Starting and stopping the service. */
import { type App, type AppOptions, buildApp } from './app.js';
import { Catalog, type CatalogOptions } from './catalog.js';
import { KeyRing } from './keys.js';

export interface ServeOptions extends CatalogOptions {
  /** File of API keys to ask for; the service follows its changes. */
  readonly keys?: string | undefined;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly app?: AppOptions;
}

export interface RunningService {
  readonly app: App;
  /** `http://host:port` */
  readonly address: string;
  /** Answers what was accepted, takes nothing new, frees everything. */
  stop(): Promise<void>;
}

/**
 * Listens at once, so that probes are answered, then verifies the detectors and becomes ready.
 * @throws KeyFileError, DetectorError, RuntimeError when there is nothing to serve or nothing to run it on.
 */
export async function serve(options: ServeOptions): Promise<RunningService> {
  const keys = options.keys === undefined ? undefined : await KeyRing.open(options.keys);
  const app = await buildApp({ ...options.app, ...(keys ? { keys } : {}) });
  keys?.follow((change) => {
    if (change instanceof Error) app.log.error(change, 'the file of keys cannot be used; the old keys stay');
    else app.log.info({ keys: change.length }, 'API keys read again');
  });
  const address = await app.listen({ host: options.host, port: options.port });
  try {
    app.service.start(
      await Catalog.open(options, app.log, (cause) => app.service.metrics.workerRestarts.inc({ cause })),
    );
  } catch (error) {
    app.service.status = 'failed';
    keys?.close();
    await app.close();
    throw error;
  }
  app.log.info({ address, provider: app.service.catalog?.provider }, 'ready');
  return {
    app,
    address,
    async stop() {
      app.service.beginStop();
      await app.close();
      await app.service.close();
      keys?.close();
    },
  };
}
