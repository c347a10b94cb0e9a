/** Data sets on disk: an MVTec AD tree, or plain folders of images. */
import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join, parse, resolve } from 'node:path';
import { firstNames } from '../files/explain.js';
import { isFolder } from '../files/folders.js';

/** The folder is not a usable data set; the message says what would be one. */
export class DatasetError extends Error {
  override readonly name = 'DatasetError';
}

/** An image of a test split. */
export interface TestImage {
  readonly path: string;
  /** `good`, or the kind of defect: the name of its folder. */
  readonly kind: string;
  readonly anomalous: boolean;
  /** Path of its mask, white where defective; undefined if there is none. */
  readonly mask: string | undefined;
}

const imageExtensions: ReadonlySet<string> = new Set(['.jpg', '.jpeg', '.png', '.webp', '.tif', '.tiff']);

/** Default name of the folder of good images. */
const goodFolder = 'good';

/**
 * Returns the sorted paths of the good training images: `train/<normal>` of a tree, or the images of a folder.
 * @param normal the good class, in a data set with a folder for each class.
 * @throws DatasetError if there are none.
 */
export async function trainingImages(root: string, normal = goodFolder): Promise<string[]> {
  await checkFolder(root);
  const good = join(root, 'train', normal);
  const inTree = await isFolder(good);
  if (!inTree && normal !== goodFolder) {
    const classes = await foldersIn(join(root, 'train'));
    throw new DatasetError(`there is no folder ${good}${foundHint(classes)}`);
  }
  const folder = inTree ? good : root;
  const images = await imagesIn(folder);
  if (images.length > 0) return images;
  const classes = await foldersIn(join(root, 'train'));
  const hint = classes.length > 0 ? `, or a folder of train as the normal class${foundHint(classes)}` : '';
  throw new DatasetError(
    `${folder} holds no images; wanted JPEG, PNG, WebP or TIFF files there or in ${good}${hint}`,
  );
}

/** Location of test images. */
export type TestSource =
  | {
      /** A tree: `test/<normal>/*`, `test/<kind>/*`, masks `ground_truth/<kind>/<stem>_mask.png`. */
      readonly root: string;
      /** The good class; default `good`. */
      readonly normal?: string;
    }
  | {
      /** Folder of good images. */
      readonly normal: string;
      /** Folders of defective images; the folder name is the kind of defect. */
      readonly abnormal: readonly string[];
      /** Folder of masks: `<kind>/<stem>_mask.png`, `<kind>/<stem>.png`, or either without the kind. */
      readonly masks?: string;
    };

/**
 * Returns the images of a test split, good ones first, then by kind and name.
 * @throws DatasetError if good or defective images are missing.
 */
export async function testImages(source: TestSource): Promise<TestImage[]> {
  const images = 'root' in source ? await imagesOfTree(source) : await imagesOfFolders(source);
  for (const anomalous of [false, true]) {
    if (images.some((image) => image.anomalous === anomalous)) continue;
    throw new DatasetError(
      `${describeSource(source)} holds no ${anomalous ? 'defective' : 'good'} images; both are needed`,
    );
  }
  return images;
}

async function imagesOfTree({
  root,
  normal = goodFolder,
}: Extract<TestSource, { root: string }>): Promise<TestImage[]> {
  const test = join(root, 'test');
  await checkFolder(root);
  const classes = await foldersIn(test);
  if (!classes.includes(normal)) {
    throw new DatasetError(
      `there is no folder ${join(test, normal)}; wanted an MVTec tree with test/good and test/<defect>, ` +
        `or the name of the good class, or folders of normal and abnormal images${foundHint(classes)}`,
    );
  }
  const images = await goodImages(join(test, normal));
  for (const kind of classes.filter((name) => name !== normal)) {
    images.push(...(await defectiveImages(join(test, kind), kind, join(root, 'ground_truth'))));
  }
  return images;
}

async function imagesOfFolders(source: Exclude<TestSource, { root: string }>): Promise<TestImage[]> {
  for (const folder of [source.normal, ...source.abnormal, ...(source.masks ? [source.masks] : [])]) {
    await checkFolder(folder);
  }
  const images = await goodImages(source.normal);
  const kinds = source.abnormal.map((folder) => basename(resolve(folder)));
  const duplicate = kinds.find((kind, index) => kinds.indexOf(kind) !== index);
  if (duplicate !== undefined) {
    throw new DatasetError(
      `two folders of defective images are named ${duplicate}; rename one, since the name is the kind`,
    );
  }
  for (const [index, folder] of source.abnormal.entries()) {
    images.push(...(await defectiveImages(folder, kinds[index] as string, source.masks)));
  }
  checkSharedMasks(images);
  const [example] = images.filter(({ anomalous }) => anomalous);
  if (source.masks && example && !images.some(({ mask }) => mask)) {
    const { name } = parse(example.path);
    throw new DatasetError(
      `${source.masks} holds no mask of any image; for ${example.path} wanted ` +
        `${join(example.kind, `${name}_mask.png`)}, or ${name}_mask.png, or either without _mask`,
    );
  }
  return images;
}

/** @throws DatasetError if the folder does not exist. */
async function checkFolder(path: string): Promise<void> {
  if (await isFolder(path)) return;
  const there = await stat(path).catch(() => undefined);
  throw new DatasetError(there ? `${path} is a file; wanted a folder` : `${path} does not exist`);
}

/** Returns the sorted names of the folders in a folder; none if it does not exist. */
export async function foldersIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  const found = await Promise.all(names.map((name) => isFolder(join(folder, name))));
  return names.filter((_, index) => found[index]).sort();
}

function foundHint(names: readonly string[]): string {
  return names.length > 0 ? `; found ${firstNames(names)}` : '';
}

/** @throws DatasetError if two images have the same mask. */
function checkSharedMasks(images: readonly TestImage[]): void {
  const owners = new Map<string, string>();
  for (const { path, mask } of images) {
    if (mask === undefined) continue;
    const other = owners.get(mask);
    if (other !== undefined) {
      throw new DatasetError(
        `${mask} matches both ${other} and ${path}; put the masks into a folder for each kind`,
      );
    }
    owners.set(mask, path);
  }
}

async function goodImages(folder: string): Promise<TestImage[]> {
  const paths = await imagesIn(folder);
  return paths.map((path) => ({ path, kind: goodFolder, anomalous: false, mask: undefined }));
}

async function defectiveImages(folder: string, kind: string, masks?: string): Promise<TestImage[]> {
  const paths = await imagesIn(folder);
  return Promise.all(
    paths.map(async (path) => ({ path, kind, anomalous: true, mask: await maskOf(path, kind, masks) })),
  );
}

async function maskOf(path: string, kind: string, masks: string | undefined): Promise<string | undefined> {
  if (masks === undefined) return undefined;
  const { name } = parse(path);
  for (const folder of [join(masks, kind), masks]) {
    for (const file of [`${name}_mask.png`, `${name}.png`]) {
      if (await isFile(join(folder, file))) return join(folder, file);
    }
  }
  return undefined;
}

/** Returns the name of a test source for messages and reports. */
export function describeSource(source: TestSource): string {
  return 'root' in source ? source.root : [source.normal, ...source.abnormal].join(', ');
}

/** Returns the sorted paths of the images in a folder; other files are ignored. */
export async function imagesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map(({ name }) => name)
    .filter((name) => imageExtensions.has(extname(name).toLowerCase()))
    .sort()
    .map((name) => join(folder, name));
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}
