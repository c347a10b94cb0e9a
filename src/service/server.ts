/** Starting and stopping the service. */
import { type App, type AppOptions, buildApp } from './app.js';
import { Catalog, type CatalogOptions } from './catalog.js';

export interface ServeOptions extends CatalogOptions {
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
 * @throws DetectorError, RuntimeError when there is nothing to serve or nothing to run it on.
 */
export async function serve(options: ServeOptions): Promise<RunningService> {
  const app = await buildApp(options.app);
  const address = await app.listen({ host: options.host, port: options.port });
  try {
    app.service.start(await Catalog.open(options, app.log));
  } catch (error) {
    app.service.status = 'failed';
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
    },
  };
}
