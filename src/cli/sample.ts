import { Command } from 'commander';
import { writeSample } from '../datasets/index.js';
import { wholeNumber } from './options.js';
import { startProgress } from './progress.js';

interface Flags {
  readonly seed: number;
  readonly train: number;
  readonly good: number;
  readonly defective: number;
}

/** `mkd sample` */
export function sampleCommand(): Command {
  return new Command('sample')
    .description(
      'Draw the sample product, a machined flange, as a data set with good and defective parts and masks.',
    )
    .argument('<dir>', 'folder to write, as an MVTec tree')
    .option('--seed <n>', 'another seed draws other parts', wholeNumber(0), 0)
    .option('--train <n>', 'good images to distill from', wholeNumber(1), 120)
    .option('--good <n>', 'good images to test with', wholeNumber(1), 40)
    .option('--defective <n>', 'defective images of each kind', wholeNumber(1), 12)
    .action(async (dir: string, flags: Flags) => {
      const progress = startProgress();
      try {
        const total = await writeSample(dir, {
          ...flags,
          onProgress: (done, all) => progress.update('Draw     ', done, all),
        });
        progress.stop();
        process.stdout.write(`${dir}: ${total} images\n`);
      } finally {
        progress.stop();
      }
    });
}
