/** Shows a distillation on the terminal: its progress, its result, and what to do next. */
import { stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import {
  defaultFalseAlarmRate,
  imagesNeeded,
  type Manifest,
  photosFile,
  readManifest,
} from '../detector/index.js';
import { type DistillOptions, type DoubtfulPhoto, photosToHoldBack } from '../distillation/index.js';
import { replaceFile } from '../files/replace-file.js';
import { calibrationWarning, counted, goodImages, type JsonFlag, percent, programName } from './options.js';
import { type Output, printResult, Warnings } from './output.js';
import { distillNote, duration, startProgress } from './progress.js';

interface Shown extends JsonFlag {
  /** Folder of the detector. */
  readonly out: string;
  /** What is done first. */
  readonly began: string;
  readonly folds?: number;
  readonly falseAlarmRate?: number;
}

/** What a distillation tells while it runs. */
type Hooks = Required<Pick<DistillOptions, 'signal' | 'onWarning' | 'onProgress' | 'onDoubtful'>>;

/** Runs a distillation, shows it, and lets Ctrl-C end it. */
export async function showDistillation(
  output: Output,
  { out, began: first, folds, falseAlarmRate, json }: Shown,
  run: (hooks: Hooks) => Promise<Manifest>,
): Promise<void> {
  const stop = new AbortController();
  const progress = startProgress(output);
  const onInterrupt = (): void => {
    progress.stop();
    output.stderr.write('mkd: stopping\n');
    stop.abort();
  };
  const began = performance.now();
  process.once('SIGINT', onInterrupt);
  process.once('SIGTERM', onInterrupt);
  progress.updateWhole('Distill', { share: 0, note: first });
  const warnings = new Warnings(output);
  const told: string[] = [];
  let doubtful: readonly DoubtfulPhoto[] = [];
  try {
    const manifest = await run({
      signal: stop.signal,
      onWarning: (message) => {
        told.push(message);
        warnings.add(message);
      },
      onDoubtful: (photos) => {
        doubtful = photos;
      },
      onProgress: (step) => progress.updateWhole('Distill', { ...step, note: distillNote(step, folds) }),
    });
    progress.stop();
    warnings.print();
    const seconds = (performance.now() - began) / 1000;
    const report = `${resolve(out)}.report.html`;
    // Charts take a third of a second to load.
    const { distillationHtml } = await import('../reports/index.js');
    await replaceFile(report, distillationHtml({ name: basename(out), manifest, warnings: told, doubtful }));
    const kept = await stat(photosFile(out)).catch(() => undefined);
    const { version } = await readManifest(out);
    const photos = kept ? { photos: photosFile(out) } : {};
    const made = { detector: out, version, ...resultOf(manifest), ...photos };
    printResult(output, { json }, { ...made, seconds, report, warnings: told, doubtful }, () => {
      const text = describe(out, manifest, duration(seconds), kept?.size);
      return `${text}\nits report, to open in a browser: ${report}\n`;
    });
    const weak = weakness(manifest, falseAlarmRate);
    if (weak) output.stderr.write(`mkd: ${weak}\n`);
    if (!json) output.stderr.write(nextCommands(out));
  } finally {
    progress.stop();
    process.off('SIGINT', onInterrupt);
    process.off('SIGTERM', onInterrupt);
  }
}

/** What a program wants to know of a new detector. */
function resultOf({ data, calibration, recipe, expert }: Manifest) {
  const { threshold, falseAlarmRate } = calibration;
  const { images, copies = 0, parts } = data;
  return { recipe: recipe.name, expert: expert.name, images, copies, parts, threshold, falseAlarmRate };
}

/** @param keptBytes size of the file with its photos, if they are kept. */
function describe(out: string, manifest: Manifest, took: string, keptBytes: number | undefined): string {
  const { distillation, calibration, data, range } = manifest;
  const rate = `false alarms at most ${percent(calibration.falseAlarmRate)}`;
  const lines = [
    `${out}: distilled from ${data.images} images (${copiesOf(data)}${heldBackOf(data)}), in ${took}, ` +
      `${lossesOf(distillation)}threshold ${calibration.threshold.toPrecision(4)} ` +
      `(${rate}${data.folds === undefined ? '' : ', at worst twice that with folds'})`,
  ];
  if (range) {
    lines.push(
      `values ${range.low} to ${range.high} of the images with more than 8 bits become black to white`,
    );
  }
  if (manifest.cloner.kind !== 'linear') return lines.join('\n');
  lines.push(termsOf(manifest));
  if (keptBytes !== undefined) {
    const size = (keptBytes / 2 ** 20).toFixed(1);
    lines.push(
      `the photos, as the detector sees them, are kept in ${photosFile(out)} (${size} MiB), for mkd add`,
    );
  }
  return lines.join('\n');
}

/** Tells what adds up to the score. */
function termsOf({ scoringLayers, terms }: Manifest): string {
  const spans = scoringLayers
    .slice(0, -1)
    .map((layer, at) => `${layer} (${percent(Number((terms.typical.direction[at] ?? 0).toFixed(2)))})`);
  return `terms of the score, with the share of a good photo that each leaves: ${spans.join(', ')}; and ${scoringLayers.at(-1)}, which counts twice`;
}

/** Tells what the threshold promises, if it is less than usual, and what would be enough. */
function weakness({ calibration, data }: Manifest, asked: number | undefined): string | undefined {
  const needed = imagesNeeded(defaultFalseAlarmRate);
  const usual = percent(defaultFalseAlarmRate);
  if (data.parts !== undefined) {
    return calibrationWarning(
      calibration,
      asked,
      `${data.parts} parts`,
      `${needed} parts would guarantee ${usual}`,
    );
  }
  if (data.folds !== undefined || data.heldBack === data.images)
    return calibrationWarning(calibration, asked);
  return calibrationWarning(
    calibration,
    asked,
    `${goodImages(calibration.scores.length)} held back`,
    `${usual} needs ${needed}: ${photosToHoldBack(needed)} photos, or ${needed} photos with --folds 5`,
  );
}

function nextCommands(out: string): string {
  return [
    'next:',
    `  ${programName} score ${out} PHOTOS --heatmaps FOLDER   scores other photos`,
    `  ${programName} evaluate ${out} DATASET                 measures it, if there are photos of defects`,
    `  ${programName} serve --detectors ${dirname(resolve(out))}`,
    '',
  ].join('\n');
}

function lossesOf({ loss, heldBackLoss }: Manifest['distillation']): string {
  if (loss === undefined || heldBackLoss === undefined) return '';
  return `loss ${loss.toFixed(4)}, held-back loss ${heldBackLoss.toFixed(4)}, `;
}

function copiesOf({ copies }: Manifest['data']): string {
  return copies === undefined ? '' : `${counted(copies, 'duplicate')} skipped; `;
}

function heldBackOf({ images, heldBack, folds, parts }: Manifest['data']): string {
  if (heldBack === images && folds === undefined) {
    return parts === undefined
      ? 'each scored by all others'
      : `of ${parts} parts, each scored by all other parts`;
  }
  return folds === undefined ? `${heldBack} held back` : `each held back once, in ${folds} folds`;
}
