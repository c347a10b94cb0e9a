/**
 * Settings of the service from a file, beside those of the environment and of flags: a flag counts before a variable, a
 * variable before the file, the file before the default. One schema says what there is; what is not in it is refused.
 */
import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { type Static, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';
import { modelsFolder } from '../detector/index.js';
import { explain } from '../files/explain.js';
import {
  defaultAdmissionLimits,
  defaultDedicatedSessions,
  defaultMaxBatchSize,
  defaultTimeoutMs,
  defaultWatchEveryMs,
} from '../http/index.js';
import { defaultMaxLoaded } from '../repository/index.js';
import { defaultQueueLimits } from '../scoring/index.js';
import { httpUrl, texts, UsageError, wholeNumber, wholeNumbers } from './options.js';

/** How a setting is given on the command line, beside what values it may have. */
interface Flag {
  readonly description: string;
  /** What its value is, as the help shows it. */
  readonly value: string;
  readonly default?: unknown;
  /** By default MKD_ and the name. */
  readonly variable?: string;
}

const originForm = 'an origin, https://host:port, or * for all';

const count = (minimum: number, maximum: number, flag?: Flag) => Type.Integer({ minimum, maximum, ...flag });
const text = (flag: Flag) => Type.String({ minLength: 1, ...flag });

/** Every setting of `mkd serve`, by the name it has in the file: its values, default, flag and variable. */
export const serveConfigSchema = Type.Object(
  {
    // These are options of other commands too.
    experts: Type.Array(Type.String({ minLength: 1 })),
    provider: Type.Union([Type.Literal('auto'), Type.Literal('cpu'), Type.Literal('cuda')]),
    threads: count(0, 1024),

    detectors: text({
      description: 'folder whose subfolders are detectors',
      value: 'dir',
      default: modelsFolder,
    }),
    host: text({
      description: 'address to listen on',
      value: 'address',
      default: '0.0.0.0',
      variable: 'HOST',
    }),
    port: count(0, 65_535, { description: 'port to listen on', value: 'n', default: 8080, variable: 'PORT' }),
    workers: count(1, 64, {
      description: 'inference workers for each device; on the CPU they share its cores',
      value: 'n',
      default: 1,
    }),
    cudaDevices: Type.Array(count(0, 63), {
      minItems: 1,
      description: 'graphics cards to use, by number',
      value: 'n',
      default: [0],
    }),
    maxBatchSize: count(1, 64, {
      description: 'most images in one batch',
      value: 'n',
      default: defaultMaxBatchSize,
    }),
    maxQueueDelayMs: count(0, 10_000, {
      description: 'how long an image may wait for others while the device is idle',
      value: 'ms',
      default: defaultQueueLimits.maxQueueDelayMs,
    }),
    maxQueueLength: count(1, 100_000, {
      description: 'images that may wait for a detector; more are answered 503',
      value: 'n',
      default: defaultQueueLimits.maxQueueLength,
    }),
    maxImagesInFlight: count(1, 100_000, {
      description: 'images taken and not yet answered; more are answered 503',
      value: 'n',
      default: defaultAdmissionLimits.maxImagesInFlight,
    }),
    maxBytesInFlight: count(1, Number.MAX_SAFE_INTEGER, {
      description: 'bytes received and not yet answered; more are answered 503',
      value: 'n',
      default: defaultAdmissionLimits.maxBytesInFlight,
    }),
    maxPixelsInFlight: count(1, Number.MAX_SAFE_INTEGER, {
      description: 'pixels decoded and not yet scored; other images wait',
      value: 'n',
      default: defaultAdmissionLimits.maxPixelsInFlight,
    }),
    timeoutMs: count(1, 600_000, {
      description: 'how long an image may take where the client does not say',
      value: 'ms',
      default: defaultTimeoutMs,
    }),
    drainMs: count(0, 600_000, {
      description: 'how long accepted requests may take once the service is told to stop',
      value: 'ms',
      default: 30_000,
    }),
    stopDelayMs: count(0, 600_000, {
      description:
        'how long requests are still taken after that, while /health/ready answers 503; a part of drain-ms',
      value: 'ms',
      default: 500,
    }),
    maxLoaded: count(1, 100_000, {
      description: 'versions of detectors in memory; others are read again when asked for',
      value: 'n',
      default: defaultMaxLoaded,
    }),
    dedicatedSessions: count(0, 64, {
      description:
        'detectors with a session of their own, those used most: a tenth faster, for an expert more in memory',
      value: 'n',
      default: defaultDedicatedSessions,
    }),
    watchEveryMs: count(0, 3_600_000, {
      description: 'how often the folder of detectors is looked at for changes; 0 is never',
      value: 'ms',
      default: defaultWatchEveryMs,
    }),
    keys: Type.Optional(
      text({ description: 'ask for API keys of this file, which mkd keys makes', value: 'file' }),
    ),
    operationsPort: Type.Optional(
      count(0, 65_535, {
        description: 'another port for /metrics, which then leaves this one, and /health',
        value: 'n',
      }),
    ),
    tlsCert: Type.Optional(text({ description: 'certificate for HTTPS, PEM', value: 'file' })),
    tlsKey: Type.Optional(text({ description: 'key of the certificate, PEM', value: 'file' })),
    corsOrigins: Type.Array(Type.String({ pattern: '^(\\*|https?://[^/\\s]+)$', description: originForm }), {
      description: 'origins whose pages may call the API from a browser',
      value: 'origin',
      default: [],
    }),
    logLevel: Type.Union(
      (['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const).map((level) =>
        Type.Literal(level),
      ),
      {
        description: 'what is logged: info has a line for each request, warn only what needs a look',
        value: 'level',
        default: 'info',
        variable: 'LOG_LEVEL',
      },
    ),
    traces: Type.Optional(
      Type.String({
        pattern: '^https?://',
        description: 'collector for OpenTelemetry, OTLP over HTTP: http://host:4318/v1/traces',
        value: 'url',
      }),
    ),
  },
  { additionalProperties: false },
);

export type ServeConfig = Static<typeof serveConfigSchema>;

const settings = Object.keys(serveConfigSchema.properties) as (keyof ServeConfig)[];

/** What the schema of a setting may say, as far as flags need to know. */
interface SettingSchema extends TSchema, Partial<Flag> {
  readonly type?: string;
  readonly const?: string;
  readonly anyOf?: readonly SettingSchema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: SettingSchema;
}

/** Adds the flag of every setting that is one of this command alone. */
export function withSettings(command: Command): Command {
  for (const name of settings) {
    const schema: SettingSchema = serveConfigSchema.properties[name];
    if (schema.description !== undefined) command.addOption(optionOf(name, schema));
  }
  return command;
}

function optionOf(name: string, schema: SettingSchema): Option {
  const { type, description, value, default: preset, items, anyOf } = schema;
  const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const variable = schema.variable ?? `MKD_${flag.replaceAll('-', '_').toUpperCase()}`;
  const values = type === 'array' ? `${value}...` : value;
  const option = new Option(`--${flag} <${values}>`, description).env(variable);
  if (preset !== undefined) option.default(preset);
  if (type === 'integer') option.argParser(wholeNumber(schema.minimum ?? 0, schema.maximum));
  if (items?.type === 'integer') {
    option.argParser(wholeNumbers(items.minimum ?? 0, items.maximum ?? 0, preset as number[]));
  }
  if (items?.type === 'string') option.argParser(texts(preset as string[], /[\s,]+/));
  if (value === 'url') option.argParser(httpUrl);
  if (anyOf) option.choices(anyOf.flatMap((choice) => choice.const ?? []));
  return option;
}

/** Variables with our prefix that are no settings of `mkd serve`. */
const otherVariables: ReadonlySet<string> = new Set(['MKD_DEBUG', 'MKD_CONFIG']);

/**
 * The settings a call amounts to.
 * @param command `mkd serve`, parsed.
 * @param path of a JSON file.
 * @throws UsageError naming the setting that is unknown or wrong.
 */
export async function effectiveConfig(
  command: Command,
  path: string | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<ServeConfig> {
  const known = new Set([...command.options.map(({ envVar }) => envVar), ...otherVariables]);
  const unknown = Object.keys(environment).find(
    (name) => name.startsWith('MKD_') && !known.has(name) && !isServiceLink(name, environment[name]),
  );
  if (unknown !== undefined) {
    const names = [...known].filter((name) => name?.startsWith('MKD_')).sort();
    throw new UsageError(`there is no variable ${unknown}; there are ${names.join(', ')}`);
  }
  const file = path === undefined ? {} : await readConfigFile(path);
  const values: Record<string, unknown> = {};
  for (const setting of settings) {
    const given = ['cli', 'env'].includes(command.getOptionValueSource(setting) ?? 'default');
    const own: unknown = command.getOptionValue(setting);
    const value = given ? own : (file[setting] ?? own);
    if (value !== undefined) values[setting] = value;
  }
  const mistakes = mistakesIn(values);
  if (mistakes.length > 0) throw new UsageError(mistakes.join('; '));
  const config = values as ServeConfig;
  if (config.operationsPort === config.port && config.port !== 0) {
    throw new UsageError(`operationsPort: wanted another port than ${config.port}, which is port`);
  }
  if (config.stopDelayMs > config.drainMs) {
    throw new UsageError(
      `stopDelayMs: wanted at most ${config.drainMs}, which is drainMs, not ${config.stopDelayMs}`,
    );
  }
  return config;
}

/** What Kubernetes tells every pod beside a Service that is called mkd. */
function isServiceLink(name: string, value = ''): boolean {
  return (
    /^MKD_SERVICE_(HOST|PORT)/.test(name) ||
    (/^MKD_PORT(_|$)/.test(name) && (name !== 'MKD_PORT' || /^\w+:\/\//.test(value)))
  );
}

async function readConfigFile(path: string): Promise<Partial<ServeConfig>> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new Error(`the configuration cannot be read: ${explain(error, path)}`);
  });
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (error) {
    throw new UsageError(
      `${path} is no JSON: ${(error as Error).message}; wanted an object of settings, such as {"port": 8080}`,
    );
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new UsageError(`${path} is no JSON object of settings`);
  }
  const mistakes = mistakesIn(config);
  if (mistakes.length > 0) throw new UsageError(`${path}: ${mistakes.join('; ')}`);
  return config;
}

/** What is wrong with the values of a file, each by its name with what would be right. */
function mistakesIn(config: object): string[] {
  return Object.entries(config).flatMap(([name, value]) => {
    const schema = schemaOf(name);
    if (!schema) return `there is no setting '${name}'; there are ${settings.join(', ')}`;
    return Value.Check(schema, value)
      ? []
      : `${name}: wanted ${wanted(schema)}, not ${JSON.stringify(value)}`;
  });
}

function wanted({ type, minimum, maximum, items, anyOf, value }: SettingSchema): string {
  if (items) return `a list, each of its entries ${items.description ?? wanted(items)}`;
  if (anyOf) return `one of ${anyOf.map((choice) => choice.const).join(', ')}`;
  if (type === 'integer') return `a whole number from ${minimum} to ${maximum}`;
  return value === 'url' ? 'a URL, http:// or https://' : 'a text that is not empty';
}

function schemaOf(name: string): SettingSchema | undefined {
  return settings.includes(name as keyof ServeConfig)
    ? serveConfigSchema.properties[name as keyof ServeConfig]
    : undefined;
}
