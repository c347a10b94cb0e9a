import { setTimeout as wait } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { modelsFolder } from '../detector/index.js';
import { defaultMaxLoaded } from '../repository/index.js';
import {
  defaultAdmissionLimits,
  defaultLaneLimits,
  defaultTimeoutMs,
  defaultWatchEveryMs,
  serve,
} from '../service/index.js';
import {
  deviceOptions,
  httpUrl,
  UsageError,
  wholeNumber,
  wholeNumbers,
  withRuntimeOptions,
} from './options.js';
import { effectiveConfig, type ServeConfig } from './serve-config.js';

interface Flags {
  readonly config?: string;
  readonly printConfig?: true;
}

const firstCard: readonly number[] = [0];

/** `mkd serve` */
export function serveCommand(): Command {
  return withRuntimeOptions(new Command('serve'))
    .description(
      'Serve detectors over HTTP. SIGTERM or Ctrl-C answers what was accepted, then ends; a second one ends at once.',
    )
    .addOption(
      new Option('--detectors <dir>', 'folder whose subfolders are detectors')
        .default(modelsFolder)
        .env('MKD_DETECTORS'),
    )
    .addOption(new Option('--host <address>', 'address to listen on').default('0.0.0.0').env('HOST'))
    .addOption(
      new Option('--port <n>', 'port to listen on')
        .argParser(wholeNumber(0, 65535))
        .default(8080)
        .env('PORT'),
    )
    .addOption(
      new Option('--workers <n>', 'inference workers for each device; on the CPU they share its cores')
        .argParser(wholeNumber(1, 64))
        .default(1)
        .env('MKD_WORKERS'),
    )
    .addOption(
      new Option('--cuda-devices <n...>', 'graphics cards to use, by number')
        .argParser(wholeNumbers(0, 63, firstCard))
        .default(firstCard)
        .env('MKD_CUDA_DEVICES'),
    )
    .addOption(
      new Option('--max-batch-size <n>', 'most images in one batch')
        .argParser(wholeNumber(1, 64))
        .default(defaultLaneLimits.maxBatchSize)
        .env('MKD_MAX_BATCH_SIZE'),
    )
    .addOption(
      new Option(
        '--max-queue-delay-ms <ms>',
        'how long an image may wait for others while the device is idle',
      )
        .argParser(wholeNumber(0, 10_000))
        .default(defaultLaneLimits.maxQueueDelayMs)
        .env('MKD_MAX_QUEUE_DELAY_MS'),
    )
    .addOption(
      new Option('--max-queue-length <n>', 'images that may wait for a detector; more are answered 503')
        .argParser(wholeNumber(1, 100_000))
        .default(defaultLaneLimits.maxQueueLength)
        .env('MKD_MAX_QUEUE_LENGTH'),
    )
    .addOption(
      new Option('--max-images-in-flight <n>', 'images taken and not yet answered; more are answered 503')
        .argParser(wholeNumber(1, 100_000))
        .default(defaultAdmissionLimits.maxImagesInFlight)
        .env('MKD_MAX_IMAGES_IN_FLIGHT'),
    )
    .addOption(
      new Option('--max-bytes-in-flight <n>', 'bytes received and not yet answered; more are answered 503')
        .argParser(wholeNumber(1))
        .default(defaultAdmissionLimits.maxBytesInFlight)
        .env('MKD_MAX_BYTES_IN_FLIGHT'),
    )
    .addOption(
      new Option('--max-pixels-in-flight <n>', 'pixels decoded and not yet scored; other images wait')
        .argParser(wholeNumber(1))
        .default(defaultAdmissionLimits.maxPixelsInFlight)
        .env('MKD_MAX_PIXELS_IN_FLIGHT'),
    )
    .addOption(
      new Option('--timeout-ms <ms>', 'how long an image may take where the client does not say')
        .argParser(wholeNumber(1, 600_000))
        .default(defaultTimeoutMs)
        .env('MKD_TIMEOUT_MS'),
    )
    .addOption(
      new Option('--drain-ms <ms>', 'how long accepted requests may take once the service is told to stop')
        .argParser(wholeNumber(0, 600_000))
        .default(30_000)
        .env('MKD_DRAIN_MS'),
    )
    .addOption(
      new Option('--max-loaded <n>', 'versions of detectors in memory; others are read again when asked for')
        .argParser(wholeNumber(1, 100_000))
        .default(defaultMaxLoaded)
        .env('MKD_MAX_LOADED'),
    )
    .addOption(
      new Option(
        '--watch-every-ms <ms>',
        'how often the folder of detectors is looked at for changes; 0 is never',
      )
        .argParser(wholeNumber(0, 3_600_000))
        .default(defaultWatchEveryMs)
        .env('MKD_WATCH_EVERY_MS'),
    )
    .addOption(
      new Option('--keys <file>', 'ask for API keys of this file, which mkd keys makes').env('MKD_KEYS'),
    )
    .addOption(
      new Option(
        '--operations-port <n>',
        'another port for /metrics, which then leaves this one, and /health',
      )
        .argParser(wholeNumber(0, 65535))
        .env('MKD_OPERATIONS_PORT'),
    )
    .addOption(new Option('--tls-cert <file>', 'certificate for HTTPS, PEM').env('MKD_TLS_CERT'))
    .addOption(new Option('--tls-key <file>', 'key of the certificate, PEM').env('MKD_TLS_KEY'))
    .addOption(
      new Option('--cors-origins <origin...>', 'origins whose pages may call the API from a browser')
        .default([])
        .env('MKD_CORS_ORIGINS'),
    )
    .addOption(
      new Option('--traces <url>', 'collector for OpenTelemetry, OTLP over HTTP: http://host:4318/v1/traces')
        .argParser(httpUrl)
        .env('MKD_TRACES'),
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
      const service = await serve({
        detectors: flags.detectors,
        experts: flags.experts,
        device: {
          ...deviceOptions(flags),
          workers: flags.workers,
          cudaDevices: flags.cudaDevices,
        },
        maxLoaded: flags.maxLoaded,
        watchEveryMs: flags.watchEveryMs,
        keys: flags.keys,
        tls: tlsFiles(flags),
        operationsPort: flags.operationsPort,
        host: flags.host,
        port: flags.port,
        app: {
          logger: { level: process.env.LOG_LEVEL ?? 'info' },
          batching: {
            maxBatchSize: flags.maxBatchSize,
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
      });
      const signals = stopSignals();
      service.app.log.info({ signal: await signals.next() }, 'stopping');
      const ended = await Promise.race([
        service.stop().then(() => 'drained' as const),
        wait(flags.drainMs, 'late' as const, { ref: false }),
        signals.next().then(() => 'again' as const),
      ]);
      if (ended === 'drained') return;
      service.app.log.warn({ ended }, 'ends with requests unanswered');
      process.exit(1);
    });
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
