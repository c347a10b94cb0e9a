/** What people name for images: files, folders, lists and buckets. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  DatasetError,
  isImageName,
  leftOutHint,
  leftOutMessage,
  listImages,
  wantedFiles,
} from '../datasets/index.js';
import { readText } from '../files/read-text.js';
import { isObject, type Storage } from '../files/storage.js';

/**
 * Returns the images of files, folders, lists (`.txt`, a path or `s3://` in a line, `#` begins a comment) and `s3://` prefixes,
 * each once; paths are absolute. What a list names is not looked at.
 * @throws DatasetError if one does not exist, or has no images.
 */
export async function listReferences(
  names: readonly string[],
  storage: Storage,
  onWarning: (message: string) => void,
): Promise<string[]> {
  const found = new Set<string>();
  for (const name of names) {
    for (const image of await imagesAt(name, storage, onWarning)) found.add(image);
  }
  return [...found];
}

async function imagesAt(
  name: string,
  storage: Storage,
  onWarning: (message: string) => void,
): Promise<readonly string[]> {
  if (isObject(name)) {
    if (isImageName(name)) return [name];
    const images = (await storage.list(name)).map(({ reference }) => reference).filter(isImageName);
    return notNone(images, `${name} has no images; wanted ${wantedFiles} below it`);
  }
  const status = await stat(name).catch(() => undefined);
  if (!status) throw new DatasetError(`${name} does not exist`);
  if (status.isDirectory()) {
    const { images, leftOut } = await listImages(resolve(name), true);
    notNone(images, `${name} has no images; wanted ${wantedFiles}${leftOutHint(name, leftOut)}`);
    if (leftOut.length > 0) onWarning(leftOutMessage(name, leftOut));
    return images;
  }
  if (isImageName(name)) return [resolve(name)];
  if (!name.endsWith('.txt')) {
    throw new DatasetError(
      `${name} is neither an image (${wantedFiles}), nor a folder, nor a list of images (.txt)`,
    );
  }
  const lines = (await readText(name)).split(/\r?\n/).map((line) => line.trim());
  const named = lines.filter((line) => line !== '' && !line.startsWith('#'));
  return notNone(named, `${name} names no images; wanted one in a line`).map((line) =>
    isObject(line) ? line : resolve(line),
  );
}

function notNone(images: readonly string[], message: string): readonly string[] {
  if (images.length === 0) throw new DatasetError(message);
  return images;
}
