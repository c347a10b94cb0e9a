/**
 * Settings of the service from flags, environment variables and a file. Flags take precedence over variables, variables
 * over the file, the file over defaults. Unknown settings are refused.
 */
import { type Command, Option } from 'commander';
import { Value } from 'typebox/value';
import { describeError } from '../files/explain.js';
import { readText } from '../files/read-text.js';
import { httpUrl, redisUrl, stringList, UsageError, wholeNumber, wholeNumbers } from './options.js';
import { type ServeConfig, type SettingSchema, serveConfigSchema, settings } from './serve-settings.js';

/** Adds the flags of the settings that only this command has. */
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
  const argument = type === 'boolean' ? '' : ` <${values}>`;
  const option = new Option(`--${flag}${argument}`, description).env(variable);
  if (preset !== undefined) option.default(preset);
  if (type === 'integer') option.argParser(wholeNumber(schema.minimum ?? 0, schema.maximum));
  if (items?.type === 'integer') {
    option.argParser(wholeNumbers(items.minimum ?? 0, items.maximum ?? 0, preset as number[]));
  }
  if (items?.type === 'string') option.argParser(stringList(preset as string[], /[\s,]+/));
  if (value === 'url') option.argParser(httpUrl);
  if (value === 'redis') option.argParser(redisUrl);
  if (anyOf) option.choices(anyOf.flatMap((choice) => choice.const ?? []));
  return option;
}

/** Variables with our prefix that are not settings of `mkd serve`. */
const otherVariables: ReadonlySet<string> = new Set([
  'MKD_DEBUG',
  'MKD_CONFIG',
  // Of mkd worker and mkd enqueue, which may share the environment.
  'MKD_REDIS',
  'MKD_QUEUE',
]);

/**
 * Returns the settings from command line, environment and file.
 * @param command `mkd serve`, parsed.
 * @param path of a JSON file.
 * @throws UsageError if a setting is unknown or invalid.
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
    throw new UsageError(`there is no variable ${unknown}; available: ${names.join(', ')}`);
  }
  const file = path === undefined ? {} : await readConfigFile(path);
  const values: Record<string, unknown> = {};
  for (const setting of settings) {
    const source = command.getOptionValueSource(setting) ?? 'default';
    const given = ['cli', 'env'].includes(source);
    const own: unknown =
      source === 'env' ? fromVariable(command, setting, environment) : command.getOptionValue(setting);
    const value = given ? own : (file[setting] ?? own);
    if (value !== undefined) values[setting] = value;
  }
  const mistakes = validationErrors(values);
  if (mistakes.length > 0) throw new UsageError(mistakes.join('; '));
  const config = values as ServeConfig;
  if (config.operationsPort === config.port && config.port !== 0) {
    throw new UsageError(`operationsPort: must be another port than port, ${config.port}`);
  }
  if (config.stopDelayMs > config.drainMs) {
    throw new UsageError(
      `stopDelayMs: must be at most drainMs, ${config.drainMs}, not ${config.stopDelayMs}`,
    );
  }
  return config;
}

/** Returns the value of a setting that a variable sets. Commander takes any text for yes. */
function fromVariable(command: Command, setting: string, environment: NodeJS.ProcessEnv): unknown {
  const value: unknown = command.getOptionValue(setting);
  if (value !== true) return value;
  const { envVar = '' } = command.options.find((option) => option.attributeName() === setting) ?? {};
  const text = environment[envVar];
  return text === 'true' || text === '1' ? true : text === 'false' || text === '0' ? false : text;
}

/** Kubernetes sets these variables in every pod if there is a Service named mkd, or one whose name begins with mkd-. */
function isServiceLink(name: string, value = ''): boolean {
  return (
    /^MKD_(\w+_)?SERVICE_(HOST|PORT)(_|$)/.test(name) ||
    /^MKD_(\w+_)?PORT_\d+_(TCP|UDP|SCTP)(_|$)/.test(name) ||
    (/^MKD_(\w+_)?PORT$/.test(name) && /^\w+:\/\//.test(value))
  );
}

async function readConfigFile(path: string): Promise<Partial<ServeConfig>> {
  const text = await readText(path).catch((error: unknown) => {
    throw new Error(`the configuration cannot be read: ${describeError(error, path)}`);
  });
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (error) {
    throw new UsageError(
      `${path} is not JSON: ${(error as Error).message}; write an object of settings, such as {"port": 8080}`,
    );
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new UsageError(`${path} is not a JSON object of settings`);
  }
  const mistakes = validationErrors(config);
  if (mistakes.length > 0) throw new UsageError(`${path}: ${mistakes.join('; ')}`);
  return config;
}

/** Returns a message for every unknown setting and invalid value. */
function validationErrors(config: object): string[] {
  return Object.entries(config).flatMap(([name, value]) => {
    const schema = schemaOf(name);
    if (!schema) return `there is no setting '${name}'; available: ${settings.join(', ')}`;
    return Value.Check(schema, value)
      ? []
      : `${name}: must be ${expectedValue(schema)}, not ${JSON.stringify(value)}`;
  });
}

function expectedValue({ type, minimum, maximum, items, anyOf, value }: SettingSchema): string {
  if (items) return `a list in which each entry is ${items.description ?? expectedValue(items)}`;
  if (anyOf) return `one of ${anyOf.map((choice) => choice.const).join(', ')}`;
  if (type === 'boolean') return 'true or false';
  if (type === 'integer') return `a whole number from ${minimum} to ${maximum}`;
  return value === 'url' ? 'a URL, http:// or https://' : 'a string that is not empty';
}

function schemaOf(name: string): SettingSchema | undefined {
  return settings.includes(name as keyof ServeConfig)
    ? serveConfigSchema.properties[name as keyof ServeConfig]
    : undefined;
}
