/** Writes the procedural sample product as an MVTec tree. */
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../files/folders.js';
import { encodePng } from '../imaging/index.js';
import { DatasetError } from './dataset.js';
import { drawSample, type SampleDefect, sampleDefects } from './sample-product.js';

export interface SampleOptions {
  readonly seed: number;
  /** Number of good training images; default 120. */
  readonly train?: number;
  /** Number of good test images; default 40. */
  readonly good?: number;
  /** Number of defective test images of each kind; default 12. */
  readonly defective?: number;
  /** Called after each image, with the numbers of written and of all images. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Writes `train/good`, `test/good`, `test/<defect>` and `ground_truth/<defect>` below `root`.
 * @returns the number of images.
 * @throws DatasetError if the folder is not empty, to keep data sets from mixing.
 */
export async function writeSample(root: string, options: SampleOptions): Promise<number> {
  const { seed, train = 120, good = 40, defective = 12, onProgress } = options;
  const total = train + good + defective * sampleDefects.length;
  await checkEmpty(root);
  let done = 0;
  const write = async (
    split: 'train' | 'test',
    kind: SampleDefect | 'good',
    count: number,
    first: number,
  ) => {
    await makeFolder(join(root, split, kind));
    if (kind !== 'good') await makeFolder(join(root, 'ground_truth', kind));
    for (let number = 0; number < count; number++) {
      const stem = String(number).padStart(3, '0');
      const { width, height, pixels, mask } = drawSample({
        seed,
        index: first + number,
        ...(kind === 'good' ? {} : { defect: kind }),
      });
      await writeFile(join(root, split, kind, `${stem}.png`), await encodePng(pixels, width, height, 3));
      if (kind !== 'good') {
        const file = join(root, 'ground_truth', kind, `${stem}_mask.png`);
        await writeFile(file, await encodePng(mask, width, height, 1));
      }
      onProgress?.(++done, total);
    }
  };
  // Every image has its own index, so that no part appears twice.
  await write('train', 'good', train, 0);
  await write('test', 'good', good, train);
  for (const [index, kind] of sampleDefects.entries()) {
    await write('test', kind, defective, train + good + index * defective);
  }
  return total;
}

async function checkEmpty(root: string): Promise<void> {
  const entries = await readdir(root).catch(() => []);
  if (entries.length > 0) throw new DatasetError(`${root} is not empty; choose a new folder`);
}
