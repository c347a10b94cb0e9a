/** Data sets on disk: the tree of MVTec AD, or a plain folder of good images. */
import { readdir, stat } from 'node:fs/promises';
import { extname, join, parse } from 'node:path';

/** The folder holds no data set that can be used; the message says what would be one. */
export class DatasetError extends Error {
  override readonly name = 'DatasetError';
}

/** An image of a test split. */
export interface TestImage {
  readonly path: string;
  /** `good`, or the kind of defect: the name of its folder. */
  readonly kind: string;
  readonly anomalous: boolean;
  /** Path of its mask, white where defective; undefined where there is none. */
  readonly mask: string | undefined;
}

const imageExtensions: ReadonlySet<string> = new Set(['.jpg', '.jpeg', '.png', '.webp', '.tif', '.tiff']);

/**
 * Paths of the good images to distill from, sorted: `train/good` of an MVTec tree, or the images of a folder.
 * @throws DatasetError when there are none.
 */
export async function trainingImages(root: string): Promise<string[]> {
  if (!(await isFolder(root))) throw new DatasetError(`${root} is no folder`);
  const good = join(root, 'train', 'good');
  const folder = (await isFolder(good)) ? good : root;
  const images = await imagesIn(folder);
  if (images.length > 0) return images;
  throw new DatasetError(
    `${folder} holds no images; wanted JPEG, PNG, WebP or TIFF files there or in ${join(root, 'train', 'good')}`,
  );
}

/**
 * The test split of an MVTec tree: `test/good/*`, `test/<defect>/*`, masks
 * `ground_truth/<defect>/<stem>_mask.png`. Sorted by kind and name.
 * @throws DatasetError when good or defective images are missing.
 */
export async function testImages(root: string): Promise<TestImage[]> {
  const test = join(root, 'test');
  if (!(await isFolder(test))) {
    throw new DatasetError(`${test} is no folder; wanted an MVTec tree with test/good and test/<defect>`);
  }
  const images: TestImage[] = [];
  for (const kind of (await readdir(test)).sort()) {
    if (!(await isFolder(join(test, kind)))) continue;
    for (const path of await imagesIn(join(test, kind))) {
      const anomalous = kind !== 'good';
      const mask = join(root, 'ground_truth', kind, `${parse(path).name}_mask.png`);
      images.push({ path, kind, anomalous, mask: anomalous && (await isFile(mask)) ? mask : undefined });
    }
  }
  for (const anomalous of [false, true]) {
    if (images.some((image) => image.anomalous === anomalous)) continue;
    throw new DatasetError(`${test} holds no ${anomalous ? 'defective' : 'good'} images; both are needed`);
  }
  return images;
}

async function imagesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names
    .filter((name) => imageExtensions.has(extname(name).toLowerCase()))
    .sort()
    .map((name) => join(folder, name));
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}
