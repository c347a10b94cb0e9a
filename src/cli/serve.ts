import { setTimeout as wait } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { type RunningService, serve } from '../http/index.js';
import { loggerFor } from './log.js';
import { checkExperts, deviceOptions, UsageError, withRuntimeOptions } from './options.js';
import type { Output } from './output.js';
import { effectiveConfig, withSettings } from './serve-config.js';
import type { ServeConfig } from './serve-settings.js';
import { type StopSignals, stopSignals } from './stop-signals.js';

interface Flags {
  readonly config?: string;
  readonly printConfig?: true;
  readonly open?: true;
}

/** `mkd serve` */
export function serveCommand(output: Output): Command {
  return withSettings(withRuntimeOptions(new Command('serve')))
    .description(
      'Serve detectors over HTTP. SIGTERM or Ctrl-C answers accepted requests, then exits; a second one exits at once.',
    )
    .addOption(
      new Option('--config <file>', 'JSON file with these settings, named maxBatchSize and so on').env(
        'MKD_CONFIG',
      ),
    )
    .option('--open', 'open the page in a browser when the service is ready')
    .option('--print-config', 'print the settings from file, variables and flags, and exit')
    .action(async ({ config, printConfig, open }: Flags, command: Command) => {
      const flags = await effectiveConfig(command, config);
      if (printConfig) {
        output.stdout.write(`${JSON.stringify(flags, null, 2)}\n`);
        return;
      }
      await checkExperts(flags);
      const signals = stopSignals();
      try {
        await serveUntilStopped(flags, signals, output, open ? openPage : undefined);
      } finally {
        signals.close();
      }
    });
}

/** @param onReady called with the address of the page. */
async function serveUntilStopped(
  flags: ServeConfig,
  signals: StopSignals,
  output: Output,
  onReady?: (url: string) => Promise<unknown>,
): Promise<void> {
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
      ...(flags.maxBatchSize === undefined ? {} : { maxBatchSize: flags.maxBatchSize }),
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
      logger: await loggerFor(output, flags.logLevel),
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
      metricsDetectors: flags.metricsDetectors,
      corsOrigins: flags.corsOrigins,
      localAdmin: flags.localAdmin,
      traces: flags.traces,
      resultsUrl: flags.results,
    },
  }).catch((error: unknown) => {
    // Stopped during the start, when no request was accepted yet: not an error.
    if (!starting.signal.aborted) throw error;
  });
  if (!service) {
    output.stderr.write('mkd: stopped during the start; no request was accepted\n');
    return;
  }
  if (output.stdout.isTTY) output.stdout.write(welcome(service, flags));
  await onReady?.(localAddress(service)).catch((error: Error) => {
    output.stderr.write(`mkd: the page cannot be opened in a browser: ${error.message}\n`);
  });
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
  service.app.log.warn({ ended }, 'exiting with unanswered requests');
  exitNow(service);
}

/** Returns the address for people on this machine. */
function localAddress({ address }: RunningService): string {
  return address.replace('0.0.0.0', 'localhost').replace('[::]', 'localhost');
}

async function openPage(url: string): Promise<void> {
  const { default: open } = await import('open');
  await open(url);
}

/** What a person at a terminal does next. */
function welcome(service: RunningService, { keys, tlsCert }: ServeConfig): string {
  const url = localAddress(service);
  const { provider, repository } = service.app.service.readyCatalog();
  const names = repository.list().flatMap(({ name, current }) => (current ? [name] : []));
  const [name = '<detector>'] = names;
  const key = keys === undefined ? '' : ` -H "Authorization: Bearer $KEY"`;
  const insecure = tlsCert === undefined ? '' : ' -k';
  return [
    '',
    `  ${url} serves ${names.join(', ') || 'no detector yet'} on ${provider}`,
    `  In a browser:   ${url}`,
    `  Score a photo:  curl -s${insecure}${key} -F image=@photo.png ${url}/v1/detectors/${name}/score`,
    `  The whole API:  ${url}/docs`,
    '  Stop:           Ctrl-C',
    '',
    '',
  ].join('\n');
}

/** A normal exit during inference would wait for it, or abort. */
function exitNow({ app }: RunningService): void {
  if (app.service.admission.idle) process.exit(1);
  process.kill(process.pid, 'SIGKILL');
}

/** @throws UsageError if one is given without the other. */
function tlsFiles({ tlsCert, tlsKey }: ServeConfig): { cert: string; key: string } | undefined {
  if (tlsCert !== undefined && tlsKey !== undefined) return { cert: tlsCert, key: tlsKey };
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  throw new UsageError('HTTPS needs both a certificate and its key: --tls-cert and --tls-key');
}
