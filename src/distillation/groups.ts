/** Which part each photo shows: several photos of one part are left out together. */
import { basename, dirname } from 'node:path';
import { parse } from 'csv-parse/sync';
import { describeError } from '../files/explain.js';
import { readText } from '../files/read-text.js';
import { DistillSettingsError } from './settings.js';

/** Fewer parts say nothing about new ones. */
const fewestParts = 4;

/**
 * Returns the part that each photo shows; undefined if nothing is said of it.
 * @param by a pattern of file names, whose first group or whole match is the part; `folder`; or a .csv file of two columns, the
 * file name and the part.
 * @throws DistillSettingsError if it is invalid, or does not say it of each photo.
 */
export async function partsOf(
  paths: readonly string[],
  by: string | undefined,
): Promise<string[] | undefined> {
  if (by === undefined) return undefined;
  return paths.map(await partFinder(by));
}

/** Returns the number of each photo's part, in the order in which they come. @throws DistillSettingsError if there are too few. */
export function numbersOf(parts: readonly string[]): number[] {
  const numbers = new Map<string, number>();
  for (const part of parts) if (!numbers.has(part)) numbers.set(part, numbers.size);
  if (numbers.size >= fewestParts) return parts.map((part) => numbers.get(part) as number);
  throw new DistillSettingsError(
    `groupBy: the ${parts.length} photos show only ${numbers.size} ${numbers.size === 1 ? 'part' : 'parts'}; at least ${fewestParts} are needed`,
  );
}

async function partFinder(by: string): Promise<(path: string) => string> {
  if (by === 'folder') return dirname;
  return isTable(by) ? fromTable(by) : fromPattern(by);
}

async function fromTable(by: string): Promise<(path: string) => string> {
  const problem = (why: string): DistillSettingsError => new DistillSettingsError(`groupBy ${by}: ${why}`);
  const text = await readText(by).catch((error: unknown) => {
    throw problem(describeError(error, by));
  });
  let rows: string[][];
  try {
    rows = parse(text, { skip_empty_lines: true, trim: true });
  } catch (error) {
    throw problem((error as Error).message);
  }
  const parts = new Map<string, string>();
  for (const [file = '', part = ''] of rows) {
    const name = basename(file);
    const other = parts.get(name);
    if (other !== undefined && other !== part)
      throw problem(`it names ${name} twice, with ${other} and ${part}`);
    parts.set(name, part);
  }
  return (path) => {
    const part = parts.get(basename(path));
    if (part) return part;
    throw problem(
      `it has no part for ${basename(path)}; wanted lines such as ${basename(path)},part-7, separated by a comma`,
    );
  };
}

/** Checks what can be seen without the photos. @throws DistillSettingsError if it is a pattern, and no valid one. */
export function checkGroupBy(by: string): void {
  if (!isTable(by)) patternOf(by);
}

function isTable(by: string): boolean {
  return by.toLowerCase().endsWith('.csv');
}

function patternOf(by: string): RegExp {
  try {
    return new RegExp(by);
  } catch (error) {
    throw new DistillSettingsError(`groupBy ${by}: ${(error as Error).message}`);
  }
}

function fromPattern(by: string): (path: string) => string {
  const expression = patternOf(by);
  return (path) => {
    const match = expression.exec(basename(path));
    if (match) return match[1] ?? match[0];
    throw new DistillSettingsError(
      `groupBy ${by}: ${basename(path)} does not fit; wanted a pattern that fits all names, such as ^([^-]+)- for a-1.png`,
    );
  };
}
