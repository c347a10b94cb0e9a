import { join } from 'node:path';
import { Command } from 'commander';
import { findDetector, hasVersions, readDetector } from '../detector/index.js';
import { type CalibrationSource, type Recalibration, recalibrate } from '../recalibration/index.js';
import { addAsCurrent } from '../repository/index.js';
import { runSelfTest, ScoringEngine } from '../scoring/index.js';
import {
  calibrationWarning,
  deviceOptions,
  falseAlarmRateOption,
  goodImages,
  type JsonFlag,
  jsonOption,
  number,
  percent,
  type RuntimeFlags,
  UsageError,
  withRuntimeOptions,
} from './options.js';
import { type Output, printResult, Warnings } from './output.js';
import { startProgress } from './progress.js';

interface Flags extends RuntimeFlags, JsonFlag {
  readonly verdicts?: string;
  readonly threshold?: number;
  readonly falseAlarmRate?: number;
  readonly add?: true;
  readonly out?: string;
}

/** `mkd calibrate` */
export function calibrateCommand(output: Output): Command {
  return withRuntimeOptions(new Command('calibrate'))
    .description('Recalibrate the threshold with good images, or with verdicts labeled by a person.')
    .argument(
      '<detector>',
      'folder of a detector, which is changed, or of its versions, to which one is added; with --out also an embedded detector',
    )
    .argument('[dataset]', 'folder of new good images, or an MVTec tree (train/good is used)')
    .option(
      '--verdicts <file>',
      'instead of images: lines of mkd score --json with a label, good or anomalous',
    )
    .option('--threshold <score>', 'set the threshold by hand; the scores of the calibration stay', number())
    .addOption(falseAlarmRateOption())
    .option('--add', 'add the new scores to the existing ones instead of replacing them')
    .option('--out <detector>', 'write a new detector and leave this one unchanged')
    .addOption(jsonOption())
    .action(async (folder: string, dataset: string | undefined, flags: Flags) => {
      const source = sourceOf(dataset, flags);
      const found = await findDetector(folder);
      // In a folder of versions, the calibrated detector becomes a new version and the current one.
      const newVersionFolder =
        flags.out === undefined && (await hasVersions(folder))
          ? join(folder, `.calibrated-${process.pid}`)
          : undefined;
      const out = flags.out ?? newVersionFolder;
      if (found !== folder && out === undefined) {
        throw new UsageError(
          `${folder} is an embedded detector (${found}) and cannot be changed; pass --out to write a new one`,
        );
      }
      const detector = await readDetector(found, flags.experts);
      const engine = await ScoringEngine.open(deviceOptions(flags));
      const progress = startProgress(output);
      const warnings = new Warnings(output);
      try {
        await runSelfTest(engine, detector);
        const result = await recalibrate(engine, detector, {
          folder: found,
          source,
          falseAlarmRate: flags.falseAlarmRate,
          add: flags.add ?? false,
          out,
          onProgress: (done, total) => progress.update('Calibrate', done, total),
          onWarning: warnings.add,
        });
        if (newVersionFolder !== undefined) await addAsCurrent(folder, newVersionFolder, result.version);
        progress.stop();
        warnings.print();
        warnIfMostlyAnomalous(output, result, 'goodImages' in source);
        const weak =
          flags.threshold === undefined ? calibrationWarning(result.after, flags.falseAlarmRate) : undefined;
        if (weak) output.stderr.write(`mkd: ${weak}\n`);
        printResult(output, flags, result, () => describe(flags.out ?? folder, result));
      } finally {
        progress.stop();
        await engine.close();
      }
    });
}

/** Warns if most of the images were anomalous before: then they may not be good. */
function warnIfMostlyAnomalous(output: Output, { flips, verdicts }: Recalibration, unlabeled: boolean): void {
  const were = flips.filter(({ before }) => before === 'anomalous').length;
  if (!unlabeled || were <= verdicts / 2) return;
  output.stderr.write(
    `mkd: ${were} of these ${verdicts} images were anomalous before; unless the lighting or the part has changed, they may not be good\n`,
  );
}

function sourceOf(
  dataset: string | undefined,
  { verdicts, threshold, falseAlarmRate, add }: Flags,
): CalibrationSource {
  const given = [dataset, verdicts, threshold].filter((source) => source !== undefined);
  if (given.length !== 1) {
    throw new UsageError('pass one of: a folder of good images, --verdicts, --threshold');
  }
  if (dataset !== undefined) return { goodImages: dataset };
  if (verdicts !== undefined) return { verdicts };
  if (falseAlarmRate !== undefined || add) {
    throw new UsageError('--threshold sets the threshold itself; leave out --false-alarm-rate and --add');
  }
  return { threshold: threshold as number };
}

function describe(folder: string, { before, after, version, verdicts, flips }: Recalibration): string {
  const lines = flips.map(
    ({ image, score, before: was, after: is, label }) =>
      `  ${image}: ${score.toPrecision(6)}, was ${was}, now ${is}${label ? ` (labeled ${label})` : ''}`,
  );
  return [
    `${folder}: version ${version}, threshold ${before.threshold.toPrecision(6)} -> ${after.threshold.toPrecision(6)}, ` +
      `false alarms at most ${percent(after.falseAlarmRate)} with ${goodImages(after.scores.length)}`,
    ...(verdicts > 0 ? [`${flips.length} of ${verdicts} verdicts flip`] : []),
    ...lines,
    '',
  ].join('\n');
}
