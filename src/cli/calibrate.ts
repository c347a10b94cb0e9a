import { join } from 'node:path';
import { Command } from 'commander';
import { findDetector, hasVersions, readDetector } from '../detector/index.js';
import { type CalibrationSource, type Recalibration, recalibrate } from '../recalibration/index.js';
import { adoptVersion } from '../repository/index.js';
import { runSelfTest, ScoringEngine } from '../scoring/index.js';
import {
  deviceOptions,
  falseAlarmRateOption,
  goodImages,
  percent,
  type RuntimeFlags,
  UsageError,
  weakPromise,
  withRuntimeOptions,
} from './options.js';
import { startProgress } from './progress.js';

interface Flags extends RuntimeFlags {
  readonly verdicts?: string;
  readonly falseAlarmRate?: number;
  readonly add?: true;
  readonly out?: string;
  readonly json?: true;
}

/** `mkd calibrate` */
export function calibrateCommand(): Command {
  return withRuntimeOptions(new Command('calibrate'))
    .description('Set the threshold anew from good images, or from verdicts that a person has labeled.')
    .argument(
      '<detector>',
      'folder of a detector, which is changed; or of its versions, to which one is added; with --out also an embedded one',
    )
    .argument('[dataset]', 'folder of new good images, or an MVTec tree (train/good is used)')
    .option(
      '--verdicts <file>',
      'instead of images: lines of mkd score --json with a label, good or anomalous',
    )
    .addOption(falseAlarmRateOption())
    .option('--add', 'keep the scores it was calibrated with beside the new ones')
    .option('--out <detector>', 'write a new detector and leave this one as it is')
    .option('--json', 'print one JSON object')
    .action(async (folder: string, dataset: string | undefined, flags: Flags) => {
      const source = sourceOf(dataset, flags.verdicts);
      const found = await findDetector(folder);
      // One of several versions stays as it is: the new one lies beside it, and becomes the current one.
      const beside =
        flags.out === undefined && (await hasVersions(folder))
          ? join(folder, `.calibrated-${process.pid}`)
          : undefined;
      const out = flags.out ?? beside;
      if (found !== folder && out === undefined) {
        throw new UsageError(
          `${folder} stands for ${found}, which stays as it is; name a new detector with --out`,
        );
      }
      const detector = await readDetector(found, flags.experts);
      const engine = await ScoringEngine.open(deviceOptions(flags));
      const progress = startProgress();
      try {
        await runSelfTest(engine, detector);
        const result = await recalibrate(engine, detector, {
          folder: found,
          source,
          falseAlarmRate: flags.falseAlarmRate,
          add: flags.add ?? false,
          out,
          onProgress: (done, total) => progress.update('Calibrate', done, total),
        });
        if (beside !== undefined) await adoptVersion(folder, beside, result.version);
        progress.stop();
        warnOfDoubtful(result, 'goodImages' in source);
        const weak = weakPromise(result.after, flags.falseAlarmRate);
        if (weak) process.stderr.write(`mkd: ${weak}\n`);
        process.stdout.write(
          flags.json ? `${JSON.stringify(result)}\n` : describe(flags.out ?? folder, result),
        );
      } finally {
        progress.stop();
        await engine.close();
      }
    });
}

/** Good images of which most were anomalous are good only if something has changed. */
function warnOfDoubtful({ flips, verdicts }: Recalibration, unlabeled: boolean): void {
  const were = flips.filter(({ before }) => before === 'anomalous').length;
  if (!unlabeled || were <= verdicts / 2) return;
  process.stderr.write(
    `mkd: ${were} of these ${verdicts} images were anomalous until now; unless light or part have changed, they may not be good\n`,
  );
}

function sourceOf(dataset: string | undefined, verdicts: string | undefined): CalibrationSource {
  if (dataset !== undefined && verdicts === undefined) return { goodImages: dataset };
  if (verdicts !== undefined && dataset === undefined) return { verdicts };
  throw new UsageError('name either a folder of good images or --verdicts');
}

function describe(folder: string, { before, after, version, verdicts, flips }: Recalibration): string {
  const lines = flips.map(
    ({ image, score, before: was, after: is, label }) =>
      `  ${image}: ${score.toPrecision(6)}, was ${was}, is ${is}${label ? ` (labeled ${label})` : ''}`,
  );
  return [
    `${folder}: version ${version}, threshold ${before.threshold.toPrecision(6)} -> ${after.threshold.toPrecision(6)}, ` +
      `false alarms at most ${percent(after.falseAlarmRate)} by ${goodImages(after.scores.length)}`,
    `${flips.length} of ${verdicts} verdicts flip`,
    ...lines,
    '',
  ].join('\n');
}
