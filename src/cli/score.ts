import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, parse } from 'node:path';
import { Command } from 'commander';
import { type Detector, type Localization, openDetector, type ScoreOptions } from '../library.js';
import { detectorFolder, deviceOptions, number, type RuntimeFlags, withRuntimeOptions } from './options.js';

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
    .argument('<image...>', 'JPEG, PNG, WebP or TIFF files')
    .option('--json', 'one JSON object a line')
    .option('--regions', 'with --json: outlines of anomalous regions too')
    .option('--heatmaps <dir>', 'write <stem>.png of each localization map there')
    .option('--threshold <score>', "above it an image is anomalous, instead of the detector's own", number(0))
    .action(async (folder: string, images: string[], flags: Flags) => {
      const detector = await openDetector(await detectorFolder(folder), {
        ...deviceOptions(flags),
        expertFolders: flags.experts,
      });
      const options = { threshold: flags.threshold };
      let failed = 0;
      try {
        if (flags.heatmaps) await mkdir(flags.heatmaps, { recursive: true });
        for (const path of images) {
          try {
            const bytes = await readFile(path);
            const { score, threshold, pValue, verdict, layers } = flags.heatmaps
              ? await localizeInto(detector, bytes, options, join(flags.heatmaps, `${parse(path).name}.png`))
              : await detector.score(bytes, options);
            process.stdout.write(
              flags.json
                ? `${JSON.stringify({ image: path, version: detector.version, score, threshold, pValue, verdict, layers })}\n`
                : `${verdict.padEnd(9)} ${score.toFixed(5)} (threshold ${threshold.toFixed(5)}, p ${pValue.toFixed(3)}) ${path}\n`,
            );
          } catch (error) {
            failed++;
            process.stderr.write(`mkd: ${path}: ${error instanceof Error ? error.message : String(error)}\n`);
          }
        }
      } finally {
        await detector.close();
      }
      if (failed > 0) process.exitCode = 1;
    });
}

async function localizeInto(
  detector: Detector,
  image: Uint8Array,
  options: ScoreOptions,
  file: string,
): Promise<Localization> {
  const localization = await detector.localize(image, options);
  await writeFile(file, await localization.heatmap());
  return localization;
}
