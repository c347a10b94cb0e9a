import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join, parse, resolve, sep } from 'node:path';
import { Command } from 'commander';
import { imagesIn } from '../datasets/index.js';
import { type Detector, type Localization, openDetector } from '../library.js';
import { explain } from './explain.js';
import { deviceOptions, number, type RuntimeFlags, UsageError, withRuntimeOptions } from './options.js';

interface Flags extends RuntimeFlags {
  readonly json?: true;
  readonly heatmaps?: string;
  readonly regions?: true;
  readonly threshold?: number;
}

/** `mkd score` */
export function scoreCommand(): Command {
  return withRuntimeOptions(new Command('score'))
    .description('Score images; one that cannot be read is reported and the others go on.')
    .argument('<detector>', 'folder of a detector, or the name of an embedded one (sample)')
    .argument('<image...>', 'JPEG, PNG, WebP or TIFF files, or folders of them')
    .option('--json', 'one JSON object a line')
    .option('--regions', 'with --json: area, box and outline of each anomalous region too')
    .option('--heatmaps <dir>', 'write <stem>.png of each localization map there')
    .option('--threshold <score>', "above it an image is anomalous, instead of the detector's own", number())
    .action(async (nameOrPath: string, images: string[], flags: Flags) => {
      if (flags.regions && !flags.json) throw new UsageError('--regions goes with --json');
      const files = namedApart(await filesOf(images));
      const detector = await openDetector(nameOrPath, {
        ...deviceOptions(flags),
        expertFolders: flags.experts,
      });
      let failed = 0;
      try {
        if (flags.heatmaps) await mkdir(flags.heatmaps, { recursive: true });
        for (const [path, name] of files) {
          try {
            process.stdout.write(`${await scoreFile(detector, path, name, flags)}\n`);
          } catch (error) {
            failed++;
            const why = explain(error);
            process.stderr.write(`mkd: ${why.startsWith(path) ? '' : `${path}: `}${why}\n`);
          }
        }
      } finally {
        await detector.close();
      }
      if (failed > 0) process.exitCode = 1;
    });
}

/** Scores a file and writes its heatmap, if wanted. @returns the line to print. */
async function scoreFile(detector: Detector, path: string, name: string, flags: Flags): Promise<string> {
  const bytes = await readFile(path);
  const options = { threshold: flags.threshold };
  let localization: Localization | undefined;
  if (flags.heatmaps || flags.regions) localization = await detector.localize(bytes, options);
  if (flags.heatmaps && localization) {
    await writeFile(join(flags.heatmaps, `${name}.png`), await localization.heatmap());
  }
  const { score, threshold, pValue, verdict, layers, peak } =
    localization ?? (await detector.score(bytes, options));
  if (!flags.json) {
    return `${verdict.padEnd(9)} ${score.toFixed(5)} (threshold ${threshold.toFixed(5)}, p ${pValue.toFixed(3)}) ${path}`;
  }
  return JSON.stringify({
    image: path,
    version: detector.version,
    score,
    threshold,
    pValue,
    verdict,
    layers,
    ...(peak ? { peak } : {}),
    ...(flags.regions ? { regions: localization?.regions } : {}),
  });
}

/** The files, and those of folders. */
async function filesOf(paths: readonly string[]): Promise<string[]> {
  const lists = await Promise.all(
    paths.map(async (path) => {
      const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
      if (!isFolder) return [path];
      const images = await imagesIn(path);
      if (images.length > 0) return images;
      throw new UsageError(`${path} has no images; wanted JPEG, PNG, WebP or TIFF files`);
    }),
  );
  return lists.flat();
}

/** Every file with a name for its heatmap: its stem, with folders before it where two would be the same. */
function namedApart(paths: readonly string[]): Map<string, string> {
  const names = new Map(paths.map((path) => [path, parse(path).name]));
  const deepest = Math.max(...paths.map((path) => resolve(path).split(sep).length));
  for (let level = 1; level < deepest; level++) {
    const taken = [...names.values()];
    if (new Set(taken).size === taken.length) break;
    for (const [path, name] of names) {
      const folder = resolve(path)
        .split(sep)
        .at(-1 - level);
      if (folder && taken.indexOf(name) !== taken.lastIndexOf(name)) names.set(path, `${folder}-${name}`);
    }
  }
  return names;
}
