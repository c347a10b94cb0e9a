/**
 * Settings of the service from a file, beside those of the environment and of flags: a flag counts before a variable, a
 * variable before the file, the file before the default. One schema says what there is; what is not in it is refused.
 */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { UsageError } from './options.js';

const count = (minimum: number, maximum: number) => Type.Integer({ minimum, maximum });

/** Every setting of `mkd serve`, by the name it has in the file. */
export const serveConfigSchema = Type.Object(
  {
    detectors: Type.String({ minLength: 1 }),
    experts: Type.Array(Type.String({ minLength: 1 })),
    host: Type.String({ minLength: 1 }),
    port: count(0, 65_535),
    provider: Type.Union([Type.Literal('auto'), Type.Literal('cpu'), Type.Literal('cuda')]),
    threads: count(0, 1024),
    workers: count(1, 64),
    cudaDevices: Type.Array(count(0, 63), { minItems: 1 }),
    maxBatchSize: count(1, 64),
    maxQueueDelayMs: count(0, 10_000),
    maxQueueLength: count(1, 100_000),
    maxImagesInFlight: count(1, 100_000),
    maxBytesInFlight: count(1, Number.MAX_SAFE_INTEGER),
    maxPixelsInFlight: count(1, Number.MAX_SAFE_INTEGER),
    timeoutMs: count(1, 600_000),
    drainMs: count(0, 600_000),
    maxLoaded: count(1, 100_000),
    watchEveryMs: count(0, 3_600_000),
    keys: Type.Optional(Type.String({ minLength: 1 })),
    operationsPort: Type.Optional(count(0, 65_535)),
    tlsCert: Type.Optional(Type.String({ minLength: 1 })),
    tlsKey: Type.Optional(Type.String({ minLength: 1 })),
    traces: Type.Optional(Type.String({ pattern: '^https?://' })),
    corsOrigins: Type.Array(Type.String({ minLength: 1 })),
  },
  { additionalProperties: false },
);

export type ServeConfig = Static<typeof serveConfigSchema>;

const fileSchema = Type.Partial(serveConfigSchema, { additionalProperties: false });

const settings = Object.keys(serveConfigSchema.properties) as (keyof ServeConfig)[];

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
  const unknown = Object.keys(environment).find((name) => name.startsWith('MKD_') && !known.has(name));
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
  return values as ServeConfig;
}

async function readConfigFile(path: string): Promise<Partial<ServeConfig>> {
  const text = await readFile(path, 'utf8').catch((error: Error) => {
    throw new UsageError(`the configuration cannot be read: ${error.message}`);
  });
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${path} is no JSON: ${(error as Error).message}`);
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new UsageError(`${path} is no JSON object of settings`);
  }
  const unknown = Object.keys(config).find((name) => !settings.includes(name as keyof ServeConfig));
  if (unknown !== undefined) {
    throw new UsageError(`${path}: there is no setting '${unknown}'; there are ${settings.join(', ')}`);
  }
  if (Value.Check(fileSchema, config)) return config;
  const [first] = Value.Errors(fileSchema, config);
  throw new UsageError(`${path}: ${first?.instancePath.slice(1)} ${first?.message}`);
}
