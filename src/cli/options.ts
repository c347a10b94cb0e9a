/** What several commands take. */
import { delimiter } from 'node:path';
import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { type Calibration, imagesNeeded, usualFalseAlarmRate } from '../detector/index.js';
import type { DeviceOptions } from '../runtime/index.js';

/** The call was wrong in a way the parser cannot see. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Options of every command that runs graphs. */
export interface DeviceFlags {
  readonly provider: 'auto' | 'cpu' | 'cuda';
  readonly threads: number;
}

/** Options of every command that reads detectors. */
export interface RuntimeFlags extends DeviceFlags {
  readonly experts: string[];
}

/** Adds what {@link DeviceFlags} holds to a command. */
export function withDeviceOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--provider <name>', 'where to run: CUDA where it can be had, or only there')
        .choices(['auto', 'cpu', 'cuda'])
        .default('auto')
        .env('MKD_PROVIDER'),
    )
    .addOption(
      new Option('--threads <n>', 'threads for inference on the CPU; 0 takes one for each core')
        .argParser(wholeNumber(0))
        .default(0)
        .env('MKD_THREADS'),
    );
}

const noFolders: string[] = [];

/** Adds what {@link RuntimeFlags} holds to a command. */
export function withRuntimeOptions(command: Command): Command {
  return withDeviceOptions(
    command.addOption(
      new Option(
        '--experts <dir>',
        `folder with imported experts; give it again for more, or with ${delimiter} between them`,
      )
        .argParser(texts(noFolders, delimiter))
        .default(noFolders)
        .env('MKD_EXPERTS'),
    ),
  );
}

export function deviceOptions({ provider, threads }: DeviceFlags): DeviceOptions {
  return { provider, threads };
}

export const detectorArgument = (): Argument =>
  new Argument(
    '<detector>',
    'folder of a detector, or of its versions, or the name of an embedded one (sample)',
  );

export const falseAlarmRateOption = (): Option =>
  new Option(
    '--false-alarm-rate <share>',
    'share of new good images that may be called anomalous; by default 0.05, or the least the images support',
  ).argParser(number(0, 1));

/**
 * What to say where the images are too few for the usual false-alarm rate, and no other was asked for.
 * @param more a way to have more of them.
 */
export function weakPromise(
  { falseAlarmRate, scores }: Pick<Calibration, 'falseAlarmRate' | 'scores'>,
  asked: number | undefined,
  more = '',
): string | undefined {
  if (asked !== undefined || falseAlarmRate <= usualFalseAlarmRate) return undefined;
  const usual = `${imagesNeeded(usualFalseAlarmRate)} would promise ${percent(usualFalseAlarmRate)}`;
  return `${goodImages(scores.length)} to calibrate with promise ${percent(falseAlarmRate)} of false alarms at best; ${usual}${more}`;
}

/** So many good images, in words. */
export function goodImages(count: number): string {
  return `${count} good ${count === 1 ? 'image' : 'images'}`;
}

/** A share as it is shown. */
export function percent(share: number): string {
  return `${Number((100 * share).toPrecision(3))} %`;
}

/** Parses a number, or one between two others, both left out. */
export function number(
  above = Number.NEGATIVE_INFINITY,
  below = Number.POSITIVE_INFINITY,
): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (value > above && value < below) return value;
    const bound = Number.isFinite(below) ? ` between ${above} and ${below}` : '';
    throw new InvalidArgumentError(`wanted a number${bound}.`);
  };
}

/** Parses a whole number of at least `least`. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= least && number <= most) return number;
    const bound = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `${least} to ${most}`;
    throw new InvalidArgumentError(`wanted a whole number, ${bound}.`);
  };
}

/**
 * Parses whole numbers, given one by one or with commas between them.
 * @param initial the default, which commander hands in first.
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
 * Parses texts, given one by one or with something between them.
 * @param initial the default, which commander hands in first.
 */
export function texts(
  initial: readonly string[],
  between: string | RegExp,
): (text: string, before: readonly string[]) => string[] {
  return (text, before) => [
    ...(before === initial ? [] : before),
    ...text.split(between).filter((part) => part !== ''),
  ];
}

/** Takes a URL of http or https. */
export function httpUrl(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  throw new InvalidArgumentError('wanted a URL, http:// or https://.');
}
