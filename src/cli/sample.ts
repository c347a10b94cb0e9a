import { Command } from 'commander';
import { writeSample } from '../datasets/index.js';
import { type JsonFlag, jsonOption, wholeNumber } from './options.js';
import { type Output, printResult } from './output.js';
import { startProgress } from './progress.js';

interface Flags extends JsonFlag {
  readonly seed: number;
  readonly train: number;
  readonly good: number;
  readonly defective: number;
}

/** `mkd sample` */
export function sampleCommand(output: Output): Command {
  return new Command('sample')
    .description(
      'Draw a data set of the sample product, a machined flange: good parts, defective parts and masks.',
    )
    .argument('<dir>', 'folder to write, as an MVTec tree')
    .option('--seed <n>', 'random seed; each draws other parts', wholeNumber(0), 0)
    .option('--train <n>', 'good training images', wholeNumber(1), 120)
    .option('--good <n>', 'good test images', wholeNumber(1), 40)
    .option('--defective <n>', 'defective test images of each kind', wholeNumber(1), 12)
    .addOption(jsonOption())
    .action(async (dir: string, flags: Flags) => {
      const progress = startProgress(output);
      try {
        const total = await writeSample(dir, {
          ...flags,
          onProgress: (done, all) => progress.update('Draw     ', done, all),
        });
        progress.stop();
        printResult(output, flags, { folder: dir, images: total }, () => `${dir}: ${total} images\n`);
      } finally {
        progress.stop();
      }
    });
}
