/** Options that several commands share. */
import { delimiter } from 'node:path';
import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { type Calibration, defaultFalseAlarmRate, imagesNeeded } from '../detector/index.js';
import { isFolder } from '../files/folders.js';
import type { DeviceOptions } from '../runtime/index.js';

/** What a user types to run this program again. */
export const programName = process.env.npm_command === 'exec' ? 'npx mkd' : 'mkd';

/** Wrong arguments that the parser cannot detect. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Options of every command that runs graphs. */
export interface DeviceFlags {
  readonly provider: 'auto' | 'cpu' | 'cuda';
  readonly precision: 'float32' | 'float16';
  readonly threads: number;
}

/** Options of every command that reads detectors. */
export interface ExpertFlags {
  readonly experts: string[];
}

/** Options of every command that scores with detectors. */
export interface RuntimeFlags extends DeviceFlags, ExpertFlags {}

/** Adds the options of {@link DeviceFlags} to a command. */
export function withDeviceOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--provider <name>', 'device for inference; auto uses CUDA if it is available')
        .choices(['auto', 'cpu', 'cuda'])
        .default('auto')
        .env('MKD_PROVIDER'),
    )
    .addOption(
      new Option('--precision <type>', 'what experts compute in; float16 needs CUDA')
        .choices(['float32', 'float16'])
        .default('float32')
        .env('MKD_PRECISION'),
    )
    .addOption(
      new Option('--threads <n>', 'threads for inference on the CPU; 0 uses one per core')
        .argParser(wholeNumber(0))
        .default(0)
        .env('MKD_THREADS'),
    );
}

const noFolders: string[] = [];

/** Adds the options of {@link ExpertFlags} to a command. */
export function withExperts(command: Command): Command {
  return command.addOption(
    new Option(
      '--experts <dir>',
      `folder with imported experts; repeat it for more, or separate them with ${delimiter}`,
    )
      .argParser(stringList(noFolders, delimiter))
      .default(noFolders)
      .env('MKD_EXPERTS'),
  );
}

/** @throws Error naming a folder of experts that does not exist. */
export async function checkExperts({ experts }: ExpertFlags): Promise<void> {
  for (const folder of experts) {
    if (!(await isFolder(folder))) throw new Error(`experts: ${folder} is not a folder`);
  }
}

/** Adds the options of {@link RuntimeFlags} to a command. */
export function withRuntimeOptions(command: Command): Command {
  return withDeviceOptions(withExperts(command));
}

export function deviceOptions({ provider, precision, threads }: DeviceFlags): DeviceOptions {
  return { provider, precision, threads };
}

export const detectorArgument = (): Argument =>
  new Argument(
    '<detector>',
    'folder of a detector or of its versions, or the name of an embedded detector (sample, sample-paper)',
  );

/** `--json` of every command that prints a result. */
export interface JsonFlag {
  readonly json?: true | undefined;
}

export const jsonOption = (): Option => new Option('--json', 'print one JSON object');

export const falseAlarmRateOption = (when = ''): Option =>
  new Option(
    '--false-alarm-rate <share>',
    `${when}share of new good images that may be called anomalous; default 0.05, or the lowest the images support`,
  ).argParser(number(0, 1));

/**
 * Returns a warning if there are too few images for the default false-alarm rate and no other rate was requested.
 * @param images what is counted, and @param more how to get more of them.
 */
export function calibrationWarning(
  { falseAlarmRate, scores }: Pick<Calibration, 'falseAlarmRate' | 'scores'>,
  asked: number | undefined,
  images: string = goodImages(scores.length),
  more = `${imagesNeeded(defaultFalseAlarmRate)} would guarantee ${percent(defaultFalseAlarmRate)}`,
): string | undefined {
  if (asked !== undefined || falseAlarmRate <= defaultFalseAlarmRate) return undefined;
  return `calibration with ${images} guarantees a false-alarm rate of ${percent(falseAlarmRate)} at best; ${more}`;
}

export function goodImages(count: number): string {
  return counted(count, 'good image');
}

/** Names a number of things: `1 image`, `2 images`. */
export function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}

/** Formats a share, 0 to 1, as a percentage. */
export function percent(share: number): string {
  return `${Number((100 * share).toPrecision(3))} %`;
}

/** Parses a number, optionally between two exclusive bounds. */
export function number(
  above = Number.NEGATIVE_INFINITY,
  below = Number.POSITIVE_INFINITY,
): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (value > above && value < below) return value;
    const least = Number.isFinite(above) ? ` above ${above}` : '';
    const bound = Number.isFinite(below) ? ` between ${above} and ${below}` : least;
    throw new InvalidArgumentError(`Must be a number${bound}.`);
  };
}

/** Parses a whole number from `least` to `most`. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= least && number <= most) return number;
    const bound = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `${least} to ${most}`;
    throw new InvalidArgumentError(`Must be a whole number, ${bound}.`);
  };
}

/**
 * Parses whole numbers from repeated options or comma-separated lists.
 * @param initial the default, which commander passes in the first call.
 */
export function wholeNumbers(
  least: number,
  most: number,
  initial: readonly number[],
): (text: string, before: readonly number[]) => number[] {
  const parse = wholeNumber(least, most);
  return (text, before) => [...(before === initial ? [] : before), ...text.split(/[\s,]+/).map(parse)];
}

/**
 * Parses strings from repeated options or separated lists.
 * @param initial the default, which commander passes in the first call.
 */
export function stringList(
  initial: readonly string[],
  between: string | RegExp,
): (text: string, before: readonly string[]) => string[] {
  return (text, before) => [
    ...(before === initial ? [] : before),
    ...text.split(between).filter((part) => part !== ''),
  ];
}

/** Parses an http or https URL. */
export function httpUrl(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  throw new InvalidArgumentError('Must be a URL, http:// or https://.');
}

/** @throws InvalidArgumentError unless it is the URL of a Redis server. */
export function redisUrl(text: string): string {
  if (URL.canParse(text) && /^rediss?:$/.test(new URL(text).protocol)) return text;
  throw new InvalidArgumentError('Must be a URL such as redis://host:6379.');
}
