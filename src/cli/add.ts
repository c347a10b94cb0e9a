import { Command } from 'commander';
import { findDetector } from '../detector/index.js';
import { changePhotos } from '../distillation/index.js';
import { showDistillation } from './distillation.js';
import {
  deviceOptions,
  falseAlarmRateOption,
  type JsonFlag,
  jsonOption,
  type RuntimeFlags,
  UsageError,
  withRuntimeOptions,
} from './options.js';
import type { Output } from './output.js';

interface Flags extends RuntimeFlags, JsonFlag {
  readonly remove?: readonly string[];
  readonly groupBy?: string;
  readonly dropDoubtful?: true;
  readonly falseAlarmRate?: number;
  readonly out?: string;
}

/** `mkd add` */
export function addCommand(output: Output): Command {
  return withRuntimeOptions(new Command('add'))
    .description(
      'Add good photos to a detector, or take some back: the same detector as from all of them at once, without the old files.',
    )
    .argument('<detector>', 'folder of a detector with a linear cloner, which is replaced')
    .argument('[dataset]', 'folder of more good photos, or an MVTec tree (train/good is used)')
    .option('--remove <names...>', 'take photos back, by their file names or paths')
    .option('--group-by <part>', 'which photos show one part, as for mkd distill; by default by its rule')
    .option('--drop-doubtful', 'leave out good photos that the others do not explain')
    .addOption(falseAlarmRateOption())
    .addOption(jsonOption())
    .option('--out <detector>', 'write a new detector and leave this one unchanged')
    .action(async (detector: string, dataset: string | undefined, flags: Flags) => {
      const { remove, out = detector } = flags;
      const found = await findDetector(detector);
      if (found !== detector) {
        throw new UsageError(
          `${detector} means ${found}, which cannot be changed in place; wanted the folder of a detector with a linear cloner`,
        );
      }
      if (dataset === undefined && remove === undefined && !flags.dropDoubtful) {
        throw new UsageError(
          'pass a folder of photos to add, --remove with names of photos, or --drop-doubtful',
        );
      }
      await showDistillation(output, { ...flags, out, began: 'looking for good images' }, (hooks) =>
        changePhotos({
          detector,
          dataset,
          remove,
          out,
          groupBy: flags.groupBy,
          dropDoubtful: flags.dropDoubtful,
          falseAlarmRate: flags.falseAlarmRate,
          experts: flags.experts,
          device: deviceOptions(flags),
          ...hooks,
        }),
      );
    });
}
