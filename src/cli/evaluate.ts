import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { readDetector, ScoringEngine } from '../detector/index.js';
import { type EvaluationReport, evaluate } from '../evaluation/index.js';
import { detectorFolder, deviceOptions, type RuntimeFlags, withRuntimeOptions } from './options.js';
import { startProgress } from './progress.js';

interface Flags extends RuntimeFlags {
  readonly json?: string;
}

/** `mkd evaluate` */
export function evaluateCommand(): Command {
  return withRuntimeOptions(new Command('evaluate'))
    .description('Measure a detector on the test split of a data set.')
    .argument('<detector>', 'folder of a detector, or the name of an embedded one (sample)')
    .argument('<dataset>', 'MVTec tree: test/good, test/<defect>, ground_truth/<defect>')
    .option('--json <file>', 'write the figures there too')
    .action(async (folder: string, dataset: string, flags: Flags) => {
      const detector = await readDetector(await detectorFolder(folder), flags.experts);
      const engine = await ScoringEngine.open(deviceOptions(flags));
      const progress = startProgress();
      try {
        const report = await evaluate(engine, detector, dataset, {
          onProgress: (done, total) => progress.update('Evaluate ', done, total),
        });
        progress.stop();
        process.stdout.write(table(report));
        if (flags.json) await writeFile(flags.json, `${JSON.stringify(report, null, 2)}\n`);
      } finally {
        progress.stop();
        await engine.close();
      }
    });
}

function table(report: EvaluationReport): string {
  const share = (value: number | null): string => (value === null ? 'no masks' : value.toFixed(4));
  const rows: [string, string][] = [
    ['images', `${report.images.good} good, ${report.images.defective} defective`],
    ['image AUROC', share(report.imageAuroc)],
    ['image average precision', share(report.imageAveragePrecision)],
    ['pixel AUROC, all images', share(report.pixelAuroc)],
    ['pixel AUROC, defective images only', share(report.pixelAurocDefectiveOnly)],
    ['good images above the threshold', share(report.falseAlarmRate)],
    ['defective images above the threshold', share(report.detectionRate)],
    ...Object.entries(report.kinds).map(([kind, { images, imageAuroc }]): [string, string] => [
      `  ${kind}`,
      `${share(imageAuroc)} image AUROC, ${images} images`,
    ]),
  ];
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `${label.padEnd(width)}  ${value}\n`).join('');
}
