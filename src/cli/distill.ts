import { Command, InvalidArgumentError, Option } from 'commander';
import { isDetector } from '../detector/index.js';
import { distill, isInputSize, isTileScale, type RecipeName, recipeNames } from '../distillation/index.js';
import { type Fit, fits, type InputSize, isValueRange, type ValueRange } from '../imaging/index.js';
import { showDistillation } from './distillation.js';
import {
  type DeviceFlags,
  deviceOptions,
  falseAlarmRateOption,
  type JsonFlag,
  jsonOption,
  number,
  wholeNumber,
  withDeviceOptions,
} from './options.js';
import type { Output } from './output.js';

interface Flags extends DeviceFlags, JsonFlag {
  readonly out: string;
  readonly recipe: RecipeName;
  readonly size?: InputSize;
  readonly epochs?: number;
  readonly batch?: number;
  readonly tileScale?: number;
  readonly fit?: Fit;
  readonly roi?: string;
  readonly range?: ValueRange;
  readonly average?: true;
  readonly folds?: number;
  readonly groupBy?: string;
  readonly dropDoubtful?: true;
  readonly keepPhotos: boolean;
  readonly lambda?: number;
  readonly seed: number;
  readonly resume?: true;
  readonly expert?: string;
  readonly normalClass?: string;
  readonly falseAlarmRate?: number;
  readonly memory?: number;
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
        'cloner and settings: linear takes seconds; paper trains a network, as the MKD paper does, for a quarter of an hour and more',
      )
        .choices(recipeNames)
        .default('linear'),
    )
    .option(
      '--size <pixels>',
      "side of the detector's input, a multiple of 32 from 64 to 1024, or WIDTHxHEIGHT with linear cloners; by default 256, with the paper recipe 128, and 32 at least",
      inputSize,
    )
    .option(
      '--tile-scale <share>',
      'cut images into tiles instead of resizing each to one square; 1 keeps their size, 0.5 halves it; at most 4',
      tileScale,
    )
    .addOption(
      new Option(
        '--fit <how>',
        'linear cloners, without tiles: how an image that is not square becomes one: stretch ignores its aspect ratio, letterbox adds bars, crop takes the middle; by default stretch',
      ).choices(fits),
    )
    .option(
      '--roi <file>',
      'linear cloners: region of interest, outside of which nothing counts: a mask, or polygons (.json)',
    )
    .option(
      '--range <low:high>',
      'values of images with more than 8 bits per sample that become black and white; by default their lowest and highest',
      valueRange,
    )
    .option('--epochs <n>', 'paper recipe: passes over all images; by default 601', wholeNumber(1))
    .option('--batch <n>', 'paper recipe: images per step; by default 64', wholeNumber(2))
    .option(
      '--average',
      'paper recipe: average the weights over the last half of the epochs, as the paper does',
    )
    .option(
      '--lambda <weight>',
      "paper recipe: weight of the value discrepancy; the authors' code uses 0.5 for MVTec AD, 0.01 for other data",
      number(),
    )
    .option(
      '--folds <n>',
      'paper recipe: calibrate with every image, using n more cloners that each leave out one fold; takes n + 1 times as long',
      wholeNumber(2),
    )
    .option(
      '--group-by <part>',
      'which photos show one part, and are left out together: a pattern of their names, such as ^([^-]+)- for a-1.png; folder; or a .csv of names and parts',
    )
    .option('--drop-doubtful', 'linear cloners: leave out good photos that the others do not explain')
    .option(
      '--no-keep-photos',
      'linear cloners: do not keep the photos beside the detector; mkd add needs them',
    )
    .option('--seed <n>', 'random seed', wholeNumber(0), 0)
    .option('--resume', 'paper recipe: continue where an interrupted run stopped')
    .option('--normal-class <name>', 'class in <dataset>/train with the good images, instead of good')
    .addOption(falseAlarmRateOption())
    .addOption(jsonOption())
    .option(
      '--expert <card>',
      'card (.json) of an imported expert, or an embedded one: efficientnet-lite2-imagenet, vgg16-imagenet',
    )
    .option(
      '--memory <MiB>',
      "paper recipe: memory for the expert's activations, by default 2048; the rest goes to disk",
      wholeNumber(1),
    )
    .action(async (dataset: string, flags: Flags) => {
      if (await isDetector(flags.out)) {
        output.stderr.write(
          `mkd: ${flags.out} is already a detector; it is replaced when the new one is complete\n`,
        );
      }
      if (flags.resume && flags.recipe === 'paper') {
        output.stderr.write(
          'mkd: continuing; the expert looks at all images once more, then training goes on\n',
        );
      }
      await showDistillation(output, { ...flags, began: `looking for good images in ${dataset}` }, (hooks) =>
        distill({
          dataset,
          out: flags.out,
          recipe: flags.recipe,
          seed: flags.seed,
          resume: flags.resume,
          memoryBytes: flags.memory === undefined ? undefined : flags.memory * 2 ** 20,
          device: deviceOptions(flags),
          inputSize: flags.size,
          epochs: flags.epochs,
          batch: flags.batch,
          tileScale: flags.tileScale,
          fit: flags.fit,
          regionOfInterest: flags.roi,
          range: flags.range,
          average: flags.average,
          folds: flags.folds,
          groupBy: flags.groupBy,
          dropDoubtful: flags.dropDoubtful,
          keepPhotos: flags.keepPhotos,
          lambda: flags.lambda,
          normalClass: flags.normalClass,
          falseAlarmRate: flags.falseAlarmRate,
          expertCard: flags.expert,
          ...hooks,
        }),
      );
    });
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

function inputSize(text: string): InputSize {
  const [width = Number.NaN, height = width] = text.split('x').map(Number);
  if (/^\d+(x\d+)?$/.test(text) && isInputSize(width) && isInputSize(height)) {
    return width === height ? width : { width, height };
  }
  throw new InvalidArgumentError(
    'Must be a multiple of 32 from 32 to 1024, or two of them, such as 512x256.',
  );
}
