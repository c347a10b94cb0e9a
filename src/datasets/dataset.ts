/** Data sets on disk: an MVTec AD tree, or plain folders of images. */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, parse, relative, resolve, sep } from 'node:path';
import { firstNames } from '../files/explain.js';
import { isFolder } from '../files/folders.js';
import type { OnWarning } from '../imaging/index.js';
import {
  imagesIn,
  isHidden,
  isImageName,
  leftOutHint,
  leftOutMessage,
  listImages,
  wantedFiles,
} from './image-files.js';

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
  /** Paths of its masks, which are joined: not black where defective. Empty if there are none. */
  readonly masks: readonly string[];
}

/** Default name of the folder of good images. */
const goodFolder = 'good';

/**
 * Returns the sorted paths of the good training images: `train/<normal>` of a tree, or the images of a folder.
 * Folders in `train/<normal>` are searched too; those in a plain folder are not, because they may hold anything.
 * @param normal the good class, in a data set with a folder for each class.
 * @param nested whether folders in a plain folder are searched too.
 * @throws DatasetError if there are none.
 */
export async function trainingImages(
  root: string,
  normal = goodFolder,
  onWarning?: OnWarning,
  nested = false,
): Promise<readonly string[]> {
  await checkFolder(root);
  const train = join(root, 'train');
  const classes = await foldersIn(train);
  const good = join(train, normal);
  const inTree = await isFolder(good);
  if (!inTree && normal !== goodFolder) {
    throw new DatasetError(`there is no folder ${good}${foundHint(classes)}`);
  }
  const folder = inTree ? good : root;
  const images = await imagesIn(folder, inTree || nested, onWarning);
  if (inTree) {
    await warnOfLoose(train, onWarning);
    const others = classes.filter((name) => name !== normal);
    if (normal === goodFolder && others.length > 0) {
      onWarning?.(`${train}: only ${goodFolder} is used; left out: ${firstNames(others)}`);
    }
  }
  if (images.length > 0) return images;
  const hint = classes.length > 0 ? `, or a folder of train as the normal class${foundHint(classes)}` : '';
  const { leftOut } = await listImages(folder, inTree || nested);
  throw new DatasetError(
    `${folder} has no images; wanted ${wantedFiles} there or in ${good}${hint}${leftOutHint(folder, leftOut)}`,
  );
}

/** Location of test images. */
export type TestSource =
  | {
      /** A tree: `test/<normal>/*`, `test/<kind>/*`, masks `ground_truth/<kind>/<stem>_mask.png` and so on. */
      readonly root: string;
      /** The good class; default `good`. */
      readonly normal?: string;
    }
  | {
      /** Folder of good images. */
      readonly normal: string;
      /** Folders of defective images; the folder name is the kind of defect. */
      readonly abnormal: readonly string[];
      /**
       * Folder of masks: `<kind>/<stem>_mask.png`, `<kind>/<stem>.png`, or a folder `<kind>/<stem>` of several, as in
       * MVTec LOCO; or any of these without the kind.
       */
      readonly masks?: string;
    };

/**
 * Returns the images of a test split, good ones first, then by kind and name.
 * @throws DatasetError if good or defective images are missing.
 */
export async function testImages(source: TestSource, onWarning?: OnWarning): Promise<TestImage[]> {
  const images =
    'root' in source ? await imagesOfTree(source, onWarning) : await imagesOfFolders(source, onWarning);
  for (const anomalous of [false, true]) {
    if (images.some((image) => image.anomalous === anomalous)) continue;
    throw new DatasetError(
      `${describeSource(source)} has no ${anomalous ? 'defective' : 'good'} images; both are needed`,
    );
  }
  return images;
}

async function imagesOfTree(
  { root, normal = goodFolder }: Extract<TestSource, { root: string }>,
  onWarning?: OnWarning,
): Promise<TestImage[]> {
  const test = join(root, 'test');
  await checkFolder(root);
  const classes = await foldersIn(test);
  if (!classes.includes(normal)) {
    throw new DatasetError(
      `there is no folder ${join(test, normal)}; wanted an MVTec tree with test/good and test/<defect>, ` +
        `or the name of the good class, or folders of normal and abnormal images${foundHint(classes)}`,
    );
  }
  await warnOfLoose(test, onWarning);
  const images = await goodImages(join(test, normal), onWarning);
  for (const kind of classes.filter((name) => name !== normal)) {
    const found = await defectiveImages(join(test, kind), kind, join(root, 'ground_truth'), onWarning);
    if (found.length === 0) onWarning?.(`${join(test, kind)} has no images; wanted ${wantedFiles}`);
    images.push(...found);
  }
  await warnOfOtherMasks(join(root, 'ground_truth'), images, onWarning);
  return images;
}

/** Tells which files of a folder whose folders are classes belong to no class. */
async function warnOfLoose(folder: string, onWarning?: OnWarning): Promise<void> {
  const { images } = await listImages(folder, false);
  if (images.length > 0) onWarning?.(leftOutMessage(folder, images, 'wanted them in the folder of a class'));
}

/** Tells which files among the masks belong to no image. */
async function warnOfOtherMasks(
  folder: string,
  images: readonly TestImage[],
  onWarning?: OnWarning,
): Promise<void> {
  if (!(await isFolder(folder))) return;
  const masks = new Set(images.flatMap((image) => image.masks));
  // Beside the mask that is used there may be others for the same image.
  const known = new Set(
    images.flatMap(({ path, kind }) => [kind, '.'].map((of) => join(of, parse(path).name))),
  );
  const listed = await listImages(folder, true);
  const others = [...listed.images, ...listed.leftOut].filter((path) => {
    const { dir, name } = parse(relative(folder, path));
    const [kind = ''] = dir.split(sep);
    return !masks.has(path) && !known.has(join(kind || '.', name.replace(/_mask$/, '')));
  });
  if (others.length === 0) return;
  const [files, belong] = others.length === 1 ? ['file', 'belongs'] : ['files', 'belong'];
  onWarning?.(`${folder}: ${others.length} ${files} ${belong} to no image: ${firstNames(others)}`);
}

async function imagesOfFolders(
  source: Exclude<TestSource, { root: string }>,
  onWarning?: OnWarning,
): Promise<TestImage[]> {
  for (const folder of [source.normal, ...source.abnormal, ...(source.masks ? [source.masks] : [])]) {
    await checkFolder(folder);
  }
  const images = await goodImages(source.normal, onWarning);
  const kinds = source.abnormal.map((folder) => basename(resolve(folder)));
  const duplicate = kinds.find((kind, index) => kinds.indexOf(kind) !== index);
  if (duplicate !== undefined) {
    throw new DatasetError(
      `two folders of defective images are named ${duplicate}; rename one, since the name is the kind`,
    );
  }
  for (const [index, folder] of source.abnormal.entries()) {
    images.push(...(await defectiveImages(folder, kinds[index] as string, source.masks, onWarning)));
  }
  checkSharedMasks(images);
  const [example] = images.filter(({ anomalous }) => anomalous);
  if (source.masks && example && !images.some(({ masks }) => masks.length > 0)) {
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

/** Returns the sorted names of the folders in a folder, hidden ones left out; none if it does not exist. */
export async function foldersIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => !isHidden(name));
  const found = await Promise.all(names.map((name) => isFolder(join(folder, name))));
  return names.filter((_, index) => found[index]).sort();
}

function foundHint(names: readonly string[]): string {
  return names.length > 0 ? `; found ${firstNames(names)}` : '';
}

/** @throws DatasetError if two images have the same mask. */
function checkSharedMasks(images: readonly TestImage[]): void {
  const owners = new Map<string, string>();
  for (const [path, mask] of images.flatMap(({ path, masks }) =>
    masks.map((mask) => [path, mask] as const),
  )) {
    const other = owners.get(mask);
    if (other !== undefined) {
      throw new DatasetError(
        `${mask} matches both ${other} and ${path}; put the masks into a folder for each kind`,
      );
    }
    owners.set(mask, path);
  }
}

async function goodImages(folder: string, onWarning?: OnWarning): Promise<TestImage[]> {
  const paths = await imagesIn(folder, true, onWarning);
  return paths.map((path) => ({ path, kind: goodFolder, anomalous: false, masks: [] }));
}

async function defectiveImages(
  folder: string,
  kind: string,
  masks: string | undefined,
  onWarning?: OnWarning,
): Promise<TestImage[]> {
  const paths = await imagesIn(folder, true, onWarning);
  const unreadable: string[] = [];
  const images = await Promise.all(
    paths.map(async (path): Promise<TestImage> => {
      const found = masks === undefined ? noMasks : await masksOf(relative(folder, path), kind, masks);
      unreadable.push(...found.unreadable);
      return { path, kind, anomalous: true, masks: found.masks };
    }),
  );
  if (unreadable.length > 0) {
    const names = firstNames(unreadable);
    onWarning?.(
      `${unreadable.length} masks cannot be read, because of their format: ${names}; wanted JPEG, PNG, WebP or TIFF files`,
    );
  }
  return images;
}

interface MasksOfImage {
  readonly masks: readonly string[];
  /** Masks by their names, but in formats that are not read. */
  readonly unreadable: readonly string[];
}

const noMasks: MasksOfImage = { masks: [], unreadable: [] };

/**
 * Finds the masks of an image: those of the first folder with masks for it.
 * @param image path in the folder of its kind.
 */
async function masksOf(image: string, kind: string, root: string): Promise<MasksOfImage> {
  const { name: stem } = parse(image);
  const isMask = (name: string): boolean => [stem, `${stem}_mask`].includes(parse(name).name);
  for (const folder of [join(root, kind, dirname(image)), join(root, dirname(image))]) {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    const files = entries.filter((entry) => !entry.isDirectory() && isMask(entry.name));
    const several = entries.find((entry) => entry.isDirectory() && entry.name === stem);
    if (several) return { masks: await imagesIn(join(folder, stem), true), unreadable: [] };
    const masks = files.filter(({ name }) => isImageName(name)).map(({ name }) => join(folder, name));
    if (files.length === 0) continue;
    // Beside <stem>_mask, <stem> alone may be a copy of the image.
    const [marked] = masks.filter((path) => parse(path).name !== stem);
    if (marked ?? masks[0]) return { masks: [(marked ?? masks[0]) as string], unreadable: [] };
    return { masks: [], unreadable: files.map(({ name }) => join(folder, name)) };
  }
  return noMasks;
}

/** Returns the name of a test source for messages and reports. */
export function describeSource(source: TestSource): string {
  return 'root' in source ? source.root : [source.normal, ...source.abnormal].join(', ');
}
