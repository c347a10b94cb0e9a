/** Lists image files in folders. Whatever is left out is listed too, so that it can be told. */
import { readdir } from 'node:fs/promises';
import { extname, join, relative } from 'node:path';
import { firstNames } from '../files/explain.js';
import type { OnWarning } from '../imaging/index.js';

/** Image files of a folder, sorted, and what else is in it. */
export interface ImageListing {
  readonly images: readonly string[];
  /** Files that are no images that can be read, and folders that were not searched. */
  readonly leftOut: readonly string[];
}

const jpegExtensions = ['.jpg', '.jpeg', '.jpe', '.jfif'];

const imageExtensions: ReadonlySet<string> = new Set([...jpegExtensions, '.png', '.webp', '.tif', '.tiff']);

/** What to say where images are missing. */
export const wantedFiles = `JPEG (${jpegExtensions.join(', ')}), PNG, WebP or TIFF files`;

/** Files that operating systems and file servers leave in folders. Names that begin with a dot are left alone too. */
const systemFiles: ReadonlySet<string> = new Set([
  'thumbs.db',
  'ehthumbs.db',
  'desktop.ini',
  '__macosx',
  '@eadir',
]);

/** Returns whether a name is a hidden file or one of the operating system. */
export function isHidden(name: string): boolean {
  return name.startsWith('.') || systemFiles.has(name.toLowerCase());
}

export function isImageName(name: string): boolean {
  return imageExtensions.has(extname(name).toLowerCase());
}

/** Lists the images of a folder. @param nested whether folders in it are searched too. */
export async function listImages(folder: string, nested: boolean): Promise<ImageListing> {
  const images: string[] = [];
  const leftOut: string[] = [];
  const search = async (path: string): Promise<void> => {
    const entries = await readdir(path, { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const { name } = entry;
      if (isHidden(name)) continue;
      const found = join(path, name);
      if (entry.isDirectory()) {
        if (nested) await search(found);
        else leftOut.push(`${found}/`);
      } else if (isImageName(name)) images.push(found);
      else leftOut.push(found);
    }
  };
  await search(folder);
  return { images: images.sort(), leftOut };
}

/** Like {@link listImages}, and tells what is left out. */
export async function imagesIn(
  folder: string,
  nested: boolean,
  onWarning?: OnWarning,
): Promise<readonly string[]> {
  const { images, leftOut } = await listImages(folder, nested);
  if (leftOut.length > 0 && images.length > 0) onWarning?.(leftOutMessage(folder, leftOut));
  return images;
}

/** Returns what a message about missing images adds: files that are there, but cannot be read. */
export function leftOutHint(folder: string, leftOut: readonly string[]): string {
  return leftOut.length === 0 ? '' : `; left out: ${firstNames(namesIn(folder, leftOut))}`;
}

/** Says what is left out of a folder, and why. */
export function leftOutMessage(
  folder: string,
  leftOut: readonly string[],
  why = `images are ${wantedFiles}`,
): string {
  const names = firstNames(namesIn(folder, leftOut));
  const [files, are] = leftOut.length === 1 ? ['entry', 'is'] : ['entries', 'are'];
  return `${folder}: ${leftOut.length} ${files} ${are} left out: ${names}; ${why}`;
}

function namesIn(folder: string, paths: readonly string[]): string[] {
  return paths.map((path) => relative(folder, path) + (path.endsWith('/') ? '/' : ''));
}
