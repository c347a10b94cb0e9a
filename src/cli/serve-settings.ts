/** The settings of `mkd serve`: one schema defines their values, defaults, flags and variables. */
import { type Static, type TSchema, Type } from 'typebox';
import { modelsFolder } from '../detector/index.js';
import {
  defaultAdmissionLimits,
  defaultDedicatedSessions,
  defaultMaxBatchSize,
  defaultTimeoutMs,
} from '../http/index.js';
import { defaultMetricsDetectors } from '../observability/index.js';
import { defaultMaxLoaded, defaultWatchEveryMs } from '../repository/index.js';
import { defaultQueueLimits } from '../scoring/index.js';

/** How a setting appears on the command line. */
interface Flag {
  readonly description: string;
  /** Name of the value in the help text. */
  readonly value: string;
  readonly default?: unknown;
  /** Environment variable; by default MKD_ and the name. */
  readonly variable?: string;
}

const originForm = 'an origin, https://host:port, or * for all';

const integerSetting = (minimum: number, maximum: number, flag?: Flag) =>
  Type.Integer({ minimum, maximum, ...flag });
const stringSetting = (flag: Flag) => Type.String({ minLength: 1, ...flag });

/** Every setting of `mkd serve`, by its name in the file: values, default, flag and variable. */
export const serveConfigSchema = Type.Object(
  {
    // Other commands have these options too.
    experts: Type.Array(Type.String({ minLength: 1 })),
    provider: Type.Union([Type.Literal('auto'), Type.Literal('cpu'), Type.Literal('cuda')]),
    precision: Type.Union([Type.Literal('float32'), Type.Literal('float16')]),
    threads: integerSetting(0, 1024),

    detectors: stringSetting({
      description: 'folder whose subfolders are detectors, or s3://bucket/prefix',
      value: 'dir',
      default: modelsFolder,
    }),
    host: stringSetting({
      description: 'address to listen on',
      value: 'address',
      default: '0.0.0.0',
      variable: 'HOST',
    }),
    port: integerSetting(0, 65_535, {
      description: 'port to listen on',
      value: 'n',
      default: 8080,
      variable: 'PORT',
    }),
    workers: integerSetting(1, 64, {
      description: 'inference workers per device; on the CPU they share its cores',
      value: 'n',
      default: 1,
    }),
    cudaDevices: Type.Array(integerSetting(0, 63), {
      minItems: 1,
      description: 'CUDA devices to use, by number',
      value: 'n',
      default: [0],
    }),
    maxBatchSize: Type.Optional(
      integerSetting(1, 64, {
        description: `maximum images in one batch; by default ${defaultMaxBatchSize.cpu} on the CPU, ${defaultMaxBatchSize.cuda} on CUDA`,
        value: 'n',
      }),
    ),
    maxQueueDelayMs: integerSetting(0, 10_000, {
      description: 'how long an image may wait for a fuller batch while the device is idle',
      value: 'ms',
      default: defaultQueueLimits.maxQueueDelayMs,
    }),
    maxQueueLength: integerSetting(1, 100_000, {
      description: 'images that may wait for a detector; more get a 503',
      value: 'n',
      default: defaultQueueLimits.maxQueueLength,
    }),
    maxImagesInFlight: integerSetting(1, 100_000, {
      description: 'images accepted and not yet answered; more get a 503',
      value: 'n',
      default: defaultAdmissionLimits.maxImagesInFlight,
    }),
    maxBytesInFlight: integerSetting(1, Number.MAX_SAFE_INTEGER, {
      description: 'bytes received and not yet answered; more get a 503',
      value: 'n',
      default: defaultAdmissionLimits.maxBytesInFlight,
    }),
    maxPixelsInFlight: integerSetting(1, Number.MAX_SAFE_INTEGER, {
      description: 'pixels decoded and not yet scored; other images wait',
      value: 'n',
      default: defaultAdmissionLimits.maxPixelsInFlight,
    }),
    timeoutMs: integerSetting(1, 600_000, {
      description: 'timeout of an image if the client does not set one',
      value: 'ms',
      default: defaultTimeoutMs,
    }),
    drainMs: integerSetting(0, 600_000, {
      description: 'how long accepted requests may take after the stop signal',
      value: 'ms',
      default: 30_000,
    }),
    stopDelayMs: integerSetting(0, 600_000, {
      description:
        'how long requests are still accepted after the stop signal, with a 503 on /health/ready; part of drain-ms',
      value: 'ms',
      default: 500,
    }),
    maxLoaded: integerSetting(1, 100_000, {
      description: 'detector versions in memory; others are read again when they are used',
      value: 'n',
      default: defaultMaxLoaded,
    }),
    dedicatedSessions: integerSetting(0, 64, {
      description:
        'most used detectors that get their own session: a tenth faster, but one more expert in memory each',
      value: 'n',
      default: defaultDedicatedSessions,
    }),
    watchEveryMs: integerSetting(0, 3_600_000, {
      description: 'how often the folder of detectors is checked for changes; 0 is never',
      value: 'ms',
      default: defaultWatchEveryMs,
    }),
    metricsDetectors: integerSetting(0, 10_000, {
      description:
        'detectors with series of their own in /metrics, those used lately; others are counted together',
      value: 'n',
      default: defaultMetricsDetectors,
    }),
    keys: Type.Optional(
      stringSetting({ description: 'require API keys from this file, see mkd keys', value: 'file' }),
    ),
    localAdmin: Type.Boolean({
      description: 'without keys: let browsers and programs on this machine make and change detectors',
      value: '',
      default: false,
    }),
    operationsPort: Type.Optional(
      integerSetting(0, 65_535, {
        description: 'separate port for /metrics and /health; /metrics is then only there',
        value: 'n',
      }),
    ),
    tlsCert: Type.Optional(stringSetting({ description: 'certificate for HTTPS, PEM', value: 'file' })),
    tlsKey: Type.Optional(
      stringSetting({ description: 'private key of the certificate, PEM', value: 'file' }),
    ),
    corsOrigins: Type.Array(
      Type.String({ pattern: '^(\\*|[hH][tT][tT][pP][sS]?://[^/\\s]+/?)$', description: originForm }),
      {
        description: 'origins whose pages may call the API from a browser',
        value: 'origin',
        default: [],
      },
    ),
    logLevel: Type.Union(
      (['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const).map((level) =>
        Type.Literal(level),
      ),
      {
        description: 'log level: info logs every request, warn only what needs attention',
        value: 'level',
        default: 'info',
        variable: 'LOG_LEVEL',
      },
    ),
    results: Type.Optional(
      Type.String({
        pattern: '^rediss?://',
        description: 'where replicas share their recent results: redis://host:6379',
        value: 'redis',
      }),
    ),
    traces: Type.Optional(
      Type.String({
        pattern: '^https?://',
        description: 'OpenTelemetry collector, OTLP over HTTP: http://host:4318/v1/traces',
        value: 'url',
      }),
    ),
  },
  { additionalProperties: false },
);

export type ServeConfig = Static<typeof serveConfigSchema>;

/** Names of all settings. */
export const settings = Object.keys(serveConfigSchema.properties) as (keyof ServeConfig)[];

/** The parts of a setting's schema that flags need. */
export interface SettingSchema extends TSchema, Partial<Flag> {
  readonly type?: string;
  readonly const?: string;
  readonly anyOf?: readonly SettingSchema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: SettingSchema;
}
