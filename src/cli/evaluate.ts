import { open, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Command, Option } from 'commander';
import { type TestSource, testImages } from '../datasets/index.js';
import {
  findDetector,
  isDetector,
  type LocalizationMethod,
  localizationMethods,
  type Manifest,
  readDetector,
  type UnverifiedDetector,
} from '../detector/index.js';
import { type Comparison, compareReports, type EvaluationReport, evaluate } from '../evaluation/index.js';
import { roundedJson } from '../files/decimals.js';
import { firstNames } from '../files/explain.js';
import { runSelfTest, ScoringEngine } from '../scoring/index.js';
import {
  detectorArgument,
  deviceOptions,
  percent,
  type RuntimeFlags,
  UsageError,
  wholeNumber,
  withRuntimeOptions,
} from './options.js';
import { type Output, Warnings } from './output.js';
import { startProgress } from './progress.js';

interface Flags extends RuntimeFlags {
  readonly normalClass?: string;
  readonly normal?: string;
  readonly abnormal?: string[];
  readonly masks?: string;
  readonly method?: LocalizationMethod;
  readonly seed: number;
  /** True without a file. */
  readonly json?: string | true;
  readonly html?: string;
}

/** `mkd evaluate` */
export function evaluateCommand(output: Output): Command {
  return withRuntimeOptions(new Command('evaluate'))
    .description('Evaluate a detector on labeled images, or compare two.')
    .addArgument(detectorArgument())
    .argument(
      '[others...]',
      'a second detector to compare with, and last an MVTec tree: test/good, test/<defect>, ground_truth/<defect>',
    )
    .option('--normal-class <name>', 'class in <dataset>/test with the good images, instead of good')
    .option('--normal <dir>', 'instead of a data set: folder of good images')
    .option('--abnormal <dir...>', 'folders of defective images, one per kind')
    .option('--masks <dir>', 'folder of masks, <kind>/<stem>_mask.png or <stem>.png')
    .addOption(
      new Option('--method <name>', "localization method, instead of the detector's own").choices(
        localizationMethods,
      ),
    )
    .option('--seed <n>', 'random seed of the bootstrap intervals', wholeNumber(0), 0)
    .option('--json [file]', 'also write the figures to this file; without one, print them alone')
    .option('--html <file>', 'also write a report to read: curves, tables, and the photos that say most')
    .action(async (detector: string, others: string[], flags: Flags) => {
      const last = others.at(-1);
      const dataset = last !== undefined && (await isDetector(await findDetector(last))) ? undefined : last;
      const detectors = [detector, ...others.slice(0, dataset === undefined ? undefined : -1)];
      const source = sourceOf(dataset, flags);
      if (detectors.length > 2) throw new UsageError('at most two detectors can be compared');
      // Fail before the evaluation, not after it.
      const jsonFile = flags.json === true ? undefined : flags.json;
      // Without a file, the figures are all that is printed.
      const tell = (text: string): void => {
        if (flags.json !== true) output.stdout.write(text);
      };
      if (jsonFile !== undefined) await checkWritable(jsonFile);
      if (flags.html !== undefined) await checkWritable(flags.html);
      const engine = await ScoringEngine.open(deviceOptions(flags));
      try {
        const read = await Promise.all(
          detectors.map(async (path) => readDetector(await findDetector(path), flags.experts)),
        );
        const reports: EvaluationReport[] = [];
        for (const [index, each] of read.entries()) {
          const report = await evaluateOne(engine, each, source, flags, output);
          for (const note of warningsOf(report, each.manifest, detectors[index] as string)) {
            output.stderr.write(`mkd: ${note}\n`);
          }
          tell(`${index > 0 ? '\n' : ''}${read.length > 1 ? `${detectors[index]}\n` : ''}`);
          tell(describe(report));
          reports.push(report);
        }
        const [first, second] = reports as [EvaluationReport, EvaluationReport?];
        const comparison = second && compareReports(first, second);
        if (comparison) tell(`\n${describeComparison(comparison)}`);
        const figures = comparison ?? first;
        if (jsonFile !== undefined) await writeFile(jsonFile, roundedJson(figures, 2));
        else if (flags.json) output.stdout.write(roundedJson(figures));
        if (flags.html) {
          const masksOf = new Map((await testImages(source)).map(({ path, masks }) => [path, masks]));
          const evaluated = reports.map((report, index) => ({
            name: detectors[index] as string,
            detector: read[index] as UnverifiedDetector,
            report,
          }));
          // Charts take a third of a second to load.
          const { evaluationReport } = await import('../reports/index.js');
          await writeFile(flags.html, await evaluationReport(engine, evaluated, masksOf, comparison));
          tell(`\n${flags.html}: open it in a browser\n`);
        }
      } finally {
        await engine.close();
      }
    });
}

async function evaluateOne(
  engine: ScoringEngine,
  detector: UnverifiedDetector,
  source: TestSource,
  flags: Flags,
  output: Output,
): Promise<EvaluationReport> {
  const progress = startProgress(output);
  const warnings = new Warnings(output);
  try {
    await runSelfTest(engine, detector);
    const report = await evaluate(engine, detector, source, {
      seed: flags.seed,
      method: flags.method,
      onProgress: (done, total) => progress.update('Evaluate ', done, total),
      onWarning: warnings.add,
    });
    progress.stop();
    warnings.print();
    return report;
  } finally {
    progress.stop();
  }
}

function describeComparison({ reports, imageAurocDifference, interval, flips }: Comparison): string {
  const [first, second] = reports;
  const row = (name: string, pick: (report: EvaluationReport) => number | null): string[] => {
    const [a, b] = [pick(first), pick(second)];
    if (a === null || b === null) return [name, share(a), share(b), ''];
    return [name, share(a), share(b), signed(b - a)];
  };
  const [low, high] = interval;
  const table = aligned([
    ['figure', 'first', 'second', 'difference'],
    [
      'image AUROC',
      share(first.imageAuroc),
      share(second.imageAuroc),
      `${signed(imageAurocDifference)}  (${signed(low)} to ${signed(high)})`,
    ],
    row('pixel AUROC, all images', ({ pixelAuroc }) => pixelAuroc),
    row('AUPRO up to 30 % false positives', ({ aupro }) => aupro),
    row('good images above the threshold', ({ falseAlarmRate }) => falseAlarmRate),
    row('defective images above the threshold', ({ detectionRate }) => detectionRate),
  ]);
  const others =
    flips.length === 0
      ? 'all verdicts are the same'
      : `${flips.length} verdicts differ: ${firstNames(flips)}`;
  return `${table}${others}\n`;
}

function signed(difference: number): string {
  return `${difference < 0 ? '' : '+'}${difference.toFixed(4)}`;
}

/** Keeps an existing file. @throws Error if the folder of a new one does not exist. */
async function checkWritable(path: string): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  const file = await open(path, 'a').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new Error(`${path} cannot be written: there is no folder ${dirname(path)}`);
  });
  await file.close();
  if (there === undefined) await rm(path);
}

/** Returns warnings about the figures. */
function warningsOf(
  { images, pixelAuroc, falseAlarmRate }: EvaluationReport,
  { calibration }: Manifest,
  detector: string,
): string[] {
  const { learned, nearCopies, withoutMask, unmarked, good } = images;
  const notes: string[] = [];
  const above = Math.round(falseAlarmRate * good);
  if (above > 1 && falseAlarmRate > 2 * calibration.falseAlarmRate) {
    notes.push(
      `${above} of the ${good} good images are above the threshold of ${detector}, which promises at most ${percent(calibration.falseAlarmRate)}: ` +
        'they differ from the photos it was made from, or those were too few; mkd calibrate sets the threshold anew',
    );
  }
  if (learned.length > 0) {
    notes.push(
      `${detector} was trained on ${learned.length} of these images; the figures would be worse on new ones: ${firstNames(learned)}`,
    );
  }
  if (nearCopies.length > 0) {
    notes.push(
      `${nearCopies.length} of the good images are near-copies of photos that ${detector} was made from; if they show the same parts, new parts score higher: ${firstNames(nearCopies)}`,
    );
  }
  if (withoutMask.length > 0 && pixelAuroc !== null) {
    notes.push(
      `${withoutMask.length} of the defective images have no mask and are not in the pixel figures: ${firstNames(withoutMask)}`,
    );
  }
  if (unmarked.length > 0) {
    notes.push(
      `${unmarked.length} of the masks of defective images mark no pixel (white is defective); all their pixels count as good: ${firstNames(unmarked)}`,
    );
  }
  return notes;
}

/** @throws UsageError unless either a data set or folders are given. */
function sourceOf(dataset: string | undefined, flags: Flags): TestSource {
  const { normal, abnormal, masks, normalClass } = flags;
  if (dataset !== undefined) {
    if (normal ?? abnormal ?? masks) {
      throw new UsageError('pass either a data set, or --normal and --abnormal folders, not both');
    }
    return { root: dataset, ...(normalClass === undefined ? {} : { normal: normalClass }) };
  }
  if (normal === undefined || abnormal === undefined) {
    throw new UsageError('pass a data set, or --normal and --abnormal folders');
  }
  if (normalClass !== undefined) throw new UsageError('--normal-class needs a data set');
  return { normal, abnormal, ...(masks === undefined ? {} : { masks }) };
}

function describe(report: EvaluationReport): string {
  const { images, intervals, imageBestF1, timings } = report;
  const masked = report.pixelAuroc !== null;
  const rows: [string, string][] = [
    ['images', `${images.good} good, ${images.defective} defective`],
    ['maps', report.localization ?? 'no masks'],
    ['image AUROC', share(report.imageAuroc, intervals.imageAuroc)],
    ['image average precision', share(report.imageAveragePrecision, intervals.imageAveragePrecision)],
    ['image best F1', `${share(imageBestF1.f1)} at ${imageBestF1.threshold.toPrecision(6)}`],
    ['pixel AUROC, all images', share(report.pixelAuroc, intervals.pixelAuroc)],
    ['pixel AUROC, defective images only', share(report.pixelAurocDefectiveOnly)],
    ['pixel average precision', share(report.pixelAveragePrecision)],
    ['AUPRO up to 30 % false positives', share(report.aupro)],
    ['good images above the threshold', share(report.falseAlarmRate)],
    ['defective images above the threshold', share(report.detectionRate)],
    [
      'time per image',
      `decode ${timings.decodeMs.toFixed(1)} ms, inference ${timings.inferenceMs.toFixed(1)} ms`,
    ],
  ];
  const kinds = [
    ['kind', 'images', 'image AUROC', 'detected', ...(masked ? ['pixel AUROC', 'AUPRO'] : [])],
    ...Object.entries(report.kinds).map(([kind, figures]) => [
      kind,
      String(figures.images),
      share(figures.imageAuroc),
      share(figures.detectionRate),
      ...(masked ? [share(figures.pixelAuroc), share(figures.aupro)] : []),
    ]),
  ];
  const terms = [
    ['term', 'image AUROC alone', 'of the score without it'],
    ...report.terms.map(({ layer, term, imageAuroc, imageAurocWithout, counts }) => [
      `${layer} ${term}`,
      share(imageAuroc),
      counts ? (imageAurocWithout?.toFixed(4) ?? 'nothing is left') : 'not in the score',
    ]),
  ];
  return [rows, kinds, terms].map(aligned).join('\n');
}

function share(value: number | null, interval?: readonly [number, number] | null): string {
  if (value === null) return 'no masks';
  const [low, high] = interval ?? [];
  const range = low === undefined || high === undefined ? '' : `  (${low.toFixed(4)} to ${high.toFixed(4)})`;
  return `${value.toFixed(4)}${range}`;
}

/** Pads every column to its widest cell. */
function aligned(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}
