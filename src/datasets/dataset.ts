/** Data sets on disk: the tree of MVTec AD, or a plain folder of good images. */
import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join, parse, resolve } from 'node:path';
import { firstOf } from '../files/explain.js';
import { isFolder } from '../files/folders.js';

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

/** Name of the folder of good images, unless told otherwise. */
const goodFolder = 'good';

/**
 * Paths of the good images to distill from, sorted: `train/<normal>` of a tree, or the images of a folder.
 * @param normal the class that is good, in a data set with a folder for each class.
 * @throws DatasetError when there are none.
 */
export async function trainingImages(root: string, normal = goodFolder): Promise<string[]> {
  await checkFolder(root);
  const good = join(root, 'train', normal);
  const inTree = await isFolder(good);
  if (!inTree && normal !== goodFolder) {
    const classes = await foldersIn(join(root, 'train'));
    throw new DatasetError(`there is no folder ${good}${hintAt(classes)}`);
  }
  const folder = inTree ? good : root;
  const images = await imagesIn(folder);
  if (images.length > 0) return images;
  const classes = await foldersIn(join(root, 'train'));
  const hint =
    classes.length > 0 ? `, or of the folders of train one as the normal class${hintAt(classes)}` : '';
  throw new DatasetError(
    `${folder} holds no images; wanted JPEG, PNG, WebP or TIFF files there or in ${good}${hint}`,
  );
}

/** Where test images lie. */
export type TestSource =
  | {
      /** A tree: `test/<normal>/*`, `test/<kind>/*`, masks `ground_truth/<kind>/<stem>_mask.png`. */
      readonly root: string;
      /** The class that is good; default `good`. */
      readonly normal?: string;
    }
  | {
      /** Folder of good images. */
      readonly normal: string;
      /** Folders of defective images; each one's name is its kind. */
      readonly abnormal: readonly string[];
      /** Folder of masks: `<kind>/<stem>_mask.png`, `<kind>/<stem>.png`, or either without the kind. */
      readonly masks?: string;
    };

/**
 * The images of a test split, good ones first, then by kind and name.
 * @throws DatasetError when good or defective images are missing.
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
        `or the name of the good class, or folders of normal and abnormal images${hintAt(classes)}`,
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
  const twice = kinds.find((kind, index) => kinds.indexOf(kind) !== index);
  if (twice !== undefined) {
    throw new DatasetError(`two folders of defective images are called ${twice}; each is a kind of its own`);
  }
  for (const [index, folder] of source.abnormal.entries()) {
    images.push(...(await defectiveImages(folder, kinds[index] as string, source.masks)));
  }
  refuseShared(images);
  const [example] = images.filter(({ anomalous }) => anomalous);
  if (source.masks && example && !images.some(({ mask }) => mask)) {
    const { name } = parse(example.path);
    throw new DatasetError(
      `${source.masks} holds no mask of any image; wanted for ${example.path} ` +
        `${join(example.kind, `${name}_mask.png`)}, or ${name}_mask.png, or either without _mask`,
    );
  }
  return images;
}

/** @throws DatasetError */
async function checkFolder(path: string): Promise<void> {
  if (await isFolder(path)) return;
  const there = await stat(path).catch(() => undefined);
  throw new DatasetError(there ? `${path} is a file; wanted a folder` : `${path} does not exist`);
}

/** Names of the folders in a folder, sorted; none where there is no such folder. */
export async function foldersIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  const found = await Promise.all(names.map((name) => isFolder(join(folder, name))));
  return names.filter((_, index) => found[index]).sort();
}

function hintAt(names: readonly string[]): string {
  return names.length > 0 ? `; there are ${firstOf(names)}` : '';
}

/** @throws DatasetError where a mask would count for two images. */
function refuseShared(images: readonly TestImage[]): void {
  const owners = new Map<string, string>();
  for (const { path, mask } of images) {
    if (mask === undefined) continue;
    const other = owners.get(mask);
    if (other !== undefined) {
      throw new DatasetError(
        `${mask} could be the mask of ${other} and of ${path}; put masks into folders by kind`,
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

/** What a test source is called in messages and reports. */
export function describeSource(source: TestSource): string {
  return 'root' in source ? source.root : [source.normal, ...source.abnormal].join(', ');
}

/** Paths of the images in a folder, sorted; other files are passed over. */
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
