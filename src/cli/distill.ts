import { dirname, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { defaultFalseAlarmRate, imagesNeeded, isDetector, type Manifest } from '../detector/index.js';
import {
  type DistillProgress,
  distill,
  isInputSize,
  isTileScale,
  photosToHoldBack,
  type RecipeName,
  recipeNames,
} from '../distillation/index.js';
import { isValueRange, type ValueRange } from '../imaging/index.js';
import {
  calibrationWarning,
  type DeviceFlags,
  deviceOptions,
  falseAlarmRateOption,
  goodImages,
  number,
  percent,
  programName,
  wholeNumber,
  withDeviceOptions,
} from './options.js';
import { type Output, Warnings } from './output.js';
import { duration, startProgress } from './progress.js';

interface Flags extends DeviceFlags {
  readonly out: string;
  readonly recipe: RecipeName;
  readonly size?: number;
  readonly epochs?: number;
  readonly batch?: number;
  readonly tileScale?: number;
  readonly range?: ValueRange;
  readonly augmentTo?: number;
  readonly average?: true;
  readonly folds?: number;
  readonly groupBy?: string;
  readonly dropDoubtful?: true;
  readonly lambda?: number;
  readonly seed: number;
  readonly resume?: true;
  readonly expert?: string;
  readonly normalClass?: string;
  readonly falseAlarmRate?: number;
  readonly memory: number;
}

/** `mkd distill` */
export function distillCommand(output: Output): Command {
  return withDeviceOptions(new Command('distill'))
    .description('Distill a detector from photos of good parts.')
    .argument('<dataset>', 'MVTec tree (train/good is used) or a folder of good images')
    .requiredOption('--out <detector>', 'folder of the detector to write')
    .addOption(
      new Option(
        '--recipe <name>',
        'cloner and settings: linear in a minute; convolutional and paper train for an hour and more',
      )
        .choices(recipeNames)
        .default('linear'),
    )
    .option(
      '--size <pixels>',
      "side of the detector's input, a multiple of 32; by default 256, with other recipes 128",
      inputSize,
    )
    .option(
      '--tile-scale <share>',
      'cut images into tiles instead of resizing each to one square; 1 keeps their size, 0.5 halves it; at most 4',
      tileScale,
    )
    .option(
      '--range <low:high>',
      'values of images with more than 8 bits per sample that become black and white; by default their lowest and highest',
      valueRange,
    )
    .option(
      '--epochs <n>',
      'trained cloners: passes over all images; by default until 24,000 were seen, with the paper recipe 601',
      wholeNumber(1),
    )
    .option(
      '--batch <n>',
      'trained cloners: images per step; by default 16, with the paper recipe 64',
      wholeNumber(2),
    )
    .option(
      '--augment-to <n>',
      'trained cloners: add augmented copies until there are n training images; 0 adds none',
      wholeNumber(0),
    )
    .option(
      '--average',
      'trained cloners: average the weights over the last half of the epochs, as the paper does',
    )
    .option(
      '--lambda <weight>',
      "trained cloners: weight of the value discrepancy; the authors' code uses 0.5 for MVTec AD, 0.01 for other data",
      number(),
    )
    .option(
      '--folds <n>',
      'trained cloners: calibrate with every image, using n more cloners that each leave out one fold; takes n + 1 times as long',
      wholeNumber(2),
    )
    .option(
      '--group-by <part>',
      'which photos show one part, and are left out together: a pattern of their names, such as ^([^-]+)- for a-1.png; folder; or a .csv of names and parts',
    )
    .option('--drop-doubtful', 'linear cloners: leave out good photos that the others do not explain')
    .option('--seed <n>', 'random seed', wholeNumber(0), 0)
    .option('--resume', 'trained cloners: continue where an interrupted run stopped')
    .option('--normal-class <name>', 'class in <dataset>/train with the good images, instead of good')
    .addOption(falseAlarmRateOption())
    .option(
      '--expert <card>',
      'card (.json) of an imported expert, or an embedded one: efficientnet-lite2-imagenet, vgg16-imagenet',
    )
    .option(
      '--memory <MiB>',
      "trained cloners: memory for the expert's activations; the rest goes to disk",
      wholeNumber(1),
      2048,
    )
    .action(async (dataset: string, flags: Flags) => {
      const stop = new AbortController();
      const onInterrupt = (): void => {
        progress.stop();
        output.stderr.write('mkd: stopping; what is left to save is saved\n');
        stop.abort();
      };
      const began = performance.now();
      const progress = startProgress(output);
      process.once('SIGINT', onInterrupt);
      process.once('SIGTERM', onInterrupt);
      if (await isDetector(flags.out)) {
        output.stderr.write(
          `mkd: ${flags.out} is already a detector; it is replaced when the new one is complete\n`,
        );
      }
      if (flags.resume) {
        output.stderr.write(
          'mkd: continuing; the expert looks at all images once more, then training goes on\n',
        );
      }
      progress.updateWhole('Distill', { share: 0, note: `looking for good images in ${dataset}` });
      const warnings = new Warnings(output);
      try {
        const manifest = await distill({
          dataset,
          out: flags.out,
          recipe: flags.recipe,
          seed: flags.seed,
          resume: flags.resume,
          memoryBytes: flags.memory * 2 ** 20,
          device: deviceOptions(flags),
          signal: stop.signal,
          inputSize: flags.size,
          epochs: flags.epochs,
          batch: flags.batch,
          tileScale: flags.tileScale,
          range: flags.range,
          augmentTo: flags.augmentTo,
          average: flags.average,
          folds: flags.folds,
          groupBy: flags.groupBy,
          dropDoubtful: flags.dropDoubtful,
          lambda: flags.lambda,
          normalClass: flags.normalClass,
          falseAlarmRate: flags.falseAlarmRate,
          expertCard: flags.expert,
          onWarning: warnings.add,
          onProgress: (step) => progress.updateWhole('Distill', { ...step, note: noteOf(step, flags.folds) }),
        });
        progress.stop();
        warnings.print();
        const took = duration((performance.now() - began) / 1000);
        const { distillation, calibration, data, range } = manifest;
        output.stdout.write(
          `${flags.out}: distilled from ${data.images} images (${copiesOf(data)}${heldBackOf(data)}), in ${took}, ` +
            lossesOf(distillation) +
            `threshold ${calibration.threshold.toPrecision(4)} ` +
            `(false alarms at most ${percent(calibration.falseAlarmRate)}${data.folds === undefined ? '' : ', at worst twice that with folds'})\n`,
        );
        if (range) {
          output.stdout.write(
            `values ${range.low} to ${range.high} of the images with more than 8 bits become black to white\n`,
          );
        }
        const weak = weakness(manifest, flags.falseAlarmRate);
        if (weak) output.stderr.write(`mkd: ${weak}\n`);
        output.stderr.write(nextCommands(flags.out));
      } finally {
        progress.stop();
        process.off('SIGINT', onInterrupt);
        process.off('SIGTERM', onInterrupt);
      }
    });
}

const doing: Readonly<Record<DistillProgress['phase'], string>> = {
  read: 'reading the images',
  expert: 'running the expert on photos and copies',
  distill: 'training the cloner',
  neighbors: 'comparing good images',
  scale: 'scaling the terms',
  calibrate: 'setting the threshold',
};

/** Tells what is being done, and how far it is. */
function noteOf(
  { phase, fold, done, total, epoch, loss, heldBackLoss }: DistillProgress,
  folds: number | undefined,
): string {
  const of = fold === undefined ? '' : `fold ${fold} of ${folds}: `;
  const unit = phase === 'distill' ? 'steps' : 'images';
  const losses = loss === undefined ? '' : `, epoch ${epoch}, loss ${loss.toFixed(4)}`;
  const held = heldBackLoss === undefined ? '' : `, held-back loss ${heldBackLoss.toFixed(4)}`;
  return `${of}${doing[phase]}, ${done} of ${total} ${unit}${losses}${held}`;
}

/** Tells what the threshold promises, if it is less than usual, and what would be enough. */
function weakness({ calibration, data }: Manifest, asked: number | undefined): string | undefined {
  const needed = imagesNeeded(defaultFalseAlarmRate);
  const usual = percent(defaultFalseAlarmRate);
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
  return copies === undefined ? '' : `${copies} ${copies === 1 ? 'duplicate' : 'duplicates'} skipped; `;
}

function heldBackOf({ images, heldBack, folds, parts }: Manifest['data']): string {
  if (heldBack === images && folds === undefined) {
    return parts === undefined
      ? 'each scored by all others'
      : `of ${parts} parts, each scored by all other parts`;
  }
  return folds === undefined ? `${heldBack} held back` : `each held back once, in ${folds} folds`;
}

function tileScale(text: string): number {
  const scale = number()(text);
  if (isTileScale(scale)) return scale;
  throw new InvalidArgumentError('Must be a number above 0 and at most 4.');
}

function valueRange(text: string): ValueRange {
  const [low = Number.NaN, high = Number.NaN, ...more] = text.split(':').map((part) => number()(part));
  if (more.length === 0 && isValueRange({ low, high })) return { low, high };
  throw new InvalidArgumentError('Must be two numbers, the lower one first, such as 0:4095 or -1000:3000.');
}

function inputSize(text: string): number {
  const size = Number(text);
  if (/^\d+$/.test(text) && isInputSize(size)) return size;
  throw new InvalidArgumentError('Must be a multiple of 32 from 32 to 1024.');
}
