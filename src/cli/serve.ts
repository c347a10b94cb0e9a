import { setTimeout as wait } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { isFolder } from '../files/folders.js';
import { type RunningService, serve } from '../http/index.js';
import { deviceOptions, UsageError, withRuntimeOptions } from './options.js';
import { effectiveConfig, type ServeConfig, withSettings } from './serve-config.js';

interface Flags {
  readonly config?: string;
  readonly printConfig?: true;
}

/** `mkd serve` */
export function serveCommand(): Command {
  return withSettings(withRuntimeOptions(new Command('serve')))
    .description(
      'Serve detectors over HTTP. SIGTERM or Ctrl-C answers what was accepted, then ends; a second one ends at once.',
    )
    .addOption(
      new Option('--config <file>', 'JSON file of these settings, named maxBatchSize and so on').env(
        'MKD_CONFIG',
      ),
    )
    .option('--print-config', 'print the settings that follow from file, variables and flags, and end')
    .action(async ({ config, printConfig }: Flags, command: Command) => {
      const flags = await effectiveConfig(command, config);
      if (printConfig) {
        process.stdout.write(`${JSON.stringify(flags, null, 2)}\n`);
        return;
      }
      for (const folder of flags.experts) {
        if (!(await isFolder(folder))) throw new Error(`${folder}, for experts, is no folder`);
      }
      const signals = stopSignals();
      const starting = new AbortController();
      const first = signals.next();
      void first.then(() => starting.abort());
      const service = await serve({
        signal: starting.signal,
        detectors: flags.detectors,
        experts: flags.experts,
        device: {
          ...deviceOptions(flags),
          workers: flags.workers,
          cudaDevices: flags.cudaDevices,
          dedicatedSessions: flags.dedicatedSessions,
          maxBatchSize: flags.maxBatchSize,
        },
        maxLoaded: flags.maxLoaded,
        watchEveryMs: flags.watchEveryMs,
        keys: flags.keys,
        tls: tlsFiles(flags),
        operationsPort: flags.operationsPort,
        host: flags.host,
        port: flags.port,
        stopDelayMs: flags.stopDelayMs,
        drainMs: flags.drainMs,
        app: {
          logger: { level: flags.logLevel },
          queue: {
            maxQueueDelayMs: flags.maxQueueDelayMs,
            maxQueueLength: flags.maxQueueLength,
          },
          admission: {
            maxImagesInFlight: flags.maxImagesInFlight,
            maxBytesInFlight: flags.maxBytesInFlight,
            maxPixelsInFlight: flags.maxPixelsInFlight,
          },
          timeoutMs: flags.timeoutMs,
          corsOrigins: flags.corsOrigins,
          traces: flags.traces,
        },
      }).catch((error: unknown) => {
        // Nothing was accepted yet.
        if (!starting.signal.aborted) throw error;
      });
      if (!service) return;
      service.app.log.info({ signal: await first }, 'stopping');
      const ended = await Promise.race([
        service.stop().then(() => 'drained' as const),
        wait(flags.drainMs, 'late' as const, { ref: false }),
        signals.next().then(() => 'again' as const),
      ]);
      if (ended === 'drained') {
        service.app.log.info('stopped');
        return;
      }
      service.app.log.warn({ ended }, 'ends with requests unanswered');
      endAtOnce(service);
    });
}

/** Leaving in good order would wait for what the runtime is at, and aborts where it does not. */
function endAtOnce({ app }: RunningService): void {
  if (app.service.admission.idle) process.exit(1);
  process.kill(process.pid, 'SIGKILL');
}

/** @throws UsageError when one is given without the other. */
function tlsFiles({ tlsCert, tlsKey }: ServeConfig): { cert: string; key: string } | undefined {
  if (tlsCert !== undefined && tlsKey !== undefined) return { cert: tlsCert, key: tlsKey };
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  throw new UsageError('HTTPS needs both a certificate and its key: --tls-cert and --tls-key');
}

/** Signals to stop, in the order in which they come. */
function stopSignals(): { next(): Promise<NodeJS.Signals> } {
  const came: NodeJS.Signals[] = [];
  let waiting: ((signal: NodeJS.Signals) => void) | undefined;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (waiting) waiting(signal);
      else came.push(signal);
      waiting = undefined;
    });
  }
  return {
    next: () =>
      new Promise((resolve) => {
        const signal = came.shift();
        if (signal) resolve(signal);
        else waiting = resolve;
      }),
  };
}
