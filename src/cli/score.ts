import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join, parse, relative, resolve } from 'node:path';
import { styleText } from 'node:util';
import { Command } from 'commander';
import { DatasetError, leftOutHint, leftOutMessage, listImages, wantedFiles } from '../datasets/index.js';
import type { Verdict } from '../detector/index.js';
import { filesAtOnce, workAhead } from '../files/ahead.js';
import { describeError } from '../files/explain.js';
import { isFolder, makeFolder } from '../files/folders.js';
import { type Detector, type Localization, openDetector } from '../library.js';
import {
  detectorArgument,
  deviceOptions,
  number,
  type RuntimeFlags,
  UsageError,
  withRuntimeOptions,
} from './options.js';
import { type Output, ReportedFailure } from './output.js';
import { Sheet } from './sheet.js';

interface Flags extends RuntimeFlags {
  readonly json?: true;
  readonly heatmaps?: string;
  readonly sheet?: string;
  readonly regions?: true;
  readonly threshold?: number;
}

/** `mkd score` */
export function scoreCommand(output: Output): Command {
  return withRuntimeOptions(new Command('score'))
    .description('Score images. An unreadable image is reported and the others are still scored.')
    .addArgument(detectorArgument())
    .argument('<image...>', 'JPEG, PNG, WebP or TIFF files, or folders of them')
    .option('--json', 'print one JSON object per line')
    .option('--regions', 'with --json: also area, box and outline of each anomalous region')
    .option(
      '--heatmaps <dir>',
      'write heatmaps to this folder: a.png for a.jpg; with folder or extension too if names are not unique',
    )
    .option(
      '--sheet <file>',
      'draw the images with their heatmaps on one picture (.png), the highest scores first',
    )
    .option('--threshold <score>', "an image is anomalous above it, instead of the detector's own", number())
    .action(async (nameOrPath: string, images: string[], flags: Flags) => {
      if (flags.regions && !flags.json) throw new UsageError('--regions needs --json');
      const files = heatmapPaths([...new Set(await filesToScore(images, flags.heatmaps, output))]);
      if (flags.heatmaps !== undefined) checkNoOverwrite(files, flags.heatmaps);
      const detector = await openDetector(nameOrPath, {
        ...deviceOptions(flags),
        expertFolders: flags.experts,
      });
      let failed = 0;
      const sheet = flags.sheet === undefined ? undefined : new Sheet(flags.sheet);
      try {
        // Files are decoded, scored and drawn at the same time, and told in their order.
        const scored = workAhead([...files], filesAtOnce, async ([path, heatmap]) => ({
          path,
          outcome: await scoreFile(detector, path, heatmap, flags, sheet, output).catch((error: unknown) => ({
            error,
          })),
        }));
        for await (const { path, outcome } of scored) {
          // Nobody reads the output and there are no heatmaps to write: stop here.
          if (output.stdout.errored && flags.heatmaps === undefined && !sheet) break;
          if ('error' in outcome) {
            failed++;
            const why = describeError(outcome.error);
            output.stderr.write(`mkd: ${why.startsWith(path) ? '' : `${path}: `}${why}\n`);
            continue;
          }
          // A reader that is slower than the graph is waited for.
          if (!output.stdout.write(`${outcome.line}\n`)) await drained(output.stdout);
          for (const warning of outcome.warnings) output.stderr.write(`mkd: ${path}: ${warning}\n`);
        }
      } finally {
        await detector.close();
      }
      if (sheet) output.stderr.write(`mkd: ${await sheet.write()}\n`);
      if (flags.heatmaps !== undefined && output.stderr.isTTY) {
        output.stderr.write(`mkd: ${files.size - failed} heatmaps are in ${flags.heatmaps}\n`);
      }
      if (failed > 0) throw new ReportedFailure(`${failed} images failed`);
    });
}

/** Waits until a stream takes more, or no one reads it any more. */
async function drained(stream: Output['stdout']): Promise<void> {
  await Promise.race(['drain', 'error', 'close'].map((event) => once(stream, event))).catch(() => undefined);
}

/** Scores a file and writes its heatmap if requested. @returns the line to print, and warnings of the file. */
async function scoreFile(
  detector: Detector,
  path: string,
  heatmap: string,
  flags: Flags,
  sheet: Sheet | undefined,
  output: Output,
): Promise<{ readonly line: string; readonly warnings: readonly string[] }> {
  const bytes = await readFile(path);
  const options = { threshold: flags.threshold };
  let localization: Localization | undefined;
  if (flags.heatmaps || flags.regions || sheet) localization = await detector.localize(bytes, options);
  if (sheet && localization) await sheet.add(localization);
  if (flags.heatmaps && localization) {
    const target = join(flags.heatmaps, heatmap);
    await makeFolder(dirname(target));
    await writeFile(target, await localization.heatmap());
  }
  const {
    score,
    threshold,
    pValue,
    pValueIsBound,
    verdict,
    layers,
    peak,
    tiles,
    warnings = [],
  } = localization ?? (await detector.score(bytes, options));
  if (!flags.json) {
    const scored = `${score.toFixed(5)} (threshold ${threshold.toFixed(5)}, p ${pValueIsBound ? '<= ' : ''}${pValue.toFixed(3)})`;
    // It was made from this photo, which therefore scores low.
    const learned = detector.hasLearned(bytes) ? ', learned from' : '';
    return { line: `${inColor(verdict, output)} ${scored} ${path}${learned}`, warnings };
  }
  const line = JSON.stringify({
    image: path,
    version: detector.version,
    score,
    threshold,
    pValue,
    pValueIsBound,
    verdict,
    ...(detector.hasLearned(bytes) ? { learned: true } : {}),
    layers,
    ...(peak === undefined ? {} : { peak }),
    ...(tiles ? { tiles } : {}),
    ...(warnings.length > 0 ? { warnings } : {}),
    ...(flags.regions ? { regions: localization?.regions } : {}),
  });
  return { line, warnings };
}

/** Returns a verdict, as wide as the wider one; in color on a terminal. */
function inColor(verdict: Verdict, { stdout }: Output): string {
  const padded = verdict.padEnd(9);
  if (!stdout.isTTY || process.env.NO_COLOR) return padded;
  // Which stream it goes to was looked at here.
  return styleText(verdict === 'anomalous' ? 'red' : 'green', padded, { validateStream: false });
}

/** @throws UsageError if a heatmap would overwrite an image. */
function checkNoOverwrite(files: ReadonlyMap<string, string>, folder: string): void {
  const images = new Set([...files.keys()].map((path) => resolve(path)));
  for (const heatmap of files.values()) {
    const target = join(folder, heatmap);
    if (images.has(resolve(target))) {
      throw new UsageError(`a heatmap would overwrite the image ${target}; choose another folder`);
    }
  }
}

/**
 * Returns the files, and the images of the folders and of folders in them; not those of the folder for heatmaps.
 * @throws DatasetError if a folder has no images.
 */
async function filesToScore(
  paths: readonly string[],
  heatmaps: string | undefined,
  output: Output,
): Promise<string[]> {
  const files: string[] = [];
  for (const path of paths) {
    if (!(await isFolder(path))) {
      files.push(path);
      continue;
    }
    const { images, leftOut } = await listImages(path, true);
    const photos = images.filter((image) => heatmaps === undefined || !isInside(image, heatmaps));
    if (photos.length === 0) {
      throw new DatasetError(`${path} has no images; wanted ${wantedFiles}${leftOutHint(path, leftOut)}`);
    }
    if (leftOut.length > 0) {
      output.stderr.write(`mkd: ${leftOutMessage(path, leftOut)}\n`);
    }
    files.push(...photos);
  }
  return files;
}

function isInside(path: string, folder: string): boolean {
  return !relative(resolve(folder), resolve(path)).startsWith('..');
}

/**
 * Returns the path of the heatmap of every file: its stem. If two stems are equal, all paths are relative to the common
 * parent folder; if two are still equal, they keep the extension.
 */
function heatmapPaths(files: readonly string[]): Map<string, string> {
  const stems = files.map((file) => parse(file).name);
  const below = allDiffer(stems) ? stems : belowCommonFolder(files).map(stemOf);
  const names = allDiffer(below) ? below : belowCommonFolder(files);
  return new Map(files.map((file, index) => [file, `${names[index]}.png`]));
}

function allDiffer(names: readonly string[]): boolean {
  return new Set(names).size === names.length;
}

function stemOf(path: string): string {
  return join(dirname(path), parse(path).name);
}

function belowCommonFolder(files: readonly string[]): string[] {
  const folders = files.map((file) => dirname(resolve(file)));
  const common = folders.reduce((shared, folder) => {
    let parent = shared;
    while (relative(parent, folder).startsWith('..')) parent = dirname(parent);
    return parent;
  });
  return files.map((file) => relative(common, resolve(file)));
}
