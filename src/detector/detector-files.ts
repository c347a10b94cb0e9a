/**
 * The files of a detector: `manifest.json`, and the two weight files that it names. Replacing a detector never leaves a
 * moment without one: new weight files are placed beside the old ones, under names of their own, and then the manifest
 * is replaced in one step.
 */
import { readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { makeFolder } from '../files/folders.js';

export const manifestFile = 'manifest.json';

/** Pattern of the cloner's file; those that replaced another have part of their hash in their name. */
export const clonerFile = '^cloner(-[0-9a-f]{12})?\\.safetensors$';

/** Pattern of the self-test's file. */
export const selfTestFile = '^self-test(-[0-9a-f]{12})?\\.safetensors$';

/** The files of a new detector. */
export const detectorFiles: readonly string[] = [manifestFile, 'cloner.safetensors', 'self-test.safetensors'];

/** Returns which of {@link detectorFiles} a file is, also if its name has a hash; undefined if it is none. */
export function kindOfFile(name: string): string | undefined {
  const plain = name.replace(/-[0-9a-f]{12}(?=\.safetensors$)/, '');
  return detectorFiles.includes(plain) ? plain : undefined;
}

/** How the names of files with a detector's photos end. */
export const photosSuffix = '.photos.tar';

/** Returns where the photos that a detector was made from are kept: beside it, not in it. */
export function photosFile(detector: string): string {
  return `${resolve(detector)}${photosSuffix}`;
}

/** Contents by name. */
export type FileContents = ReadonlyMap<string, Uint8Array | string>;

/** Writes a new detector: a folder that appears with all its files. If that fails, nothing is left. */
export async function placeDetector(folder: string, files: FileContents): Promise<void> {
  const target = resolve(folder);
  const fresh = `${target}.new`;
  try {
    await rm(fresh, { recursive: true, force: true });
    await makeFolder(fresh);
    for (const [name, content] of files) await writeFile(join(fresh, name), content);
    await rename(fresh, target);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    // An error of writing names no file, and others the one that is gone.
    throw error instanceof Error ? Object.assign(error, { path: target }) : error;
  }
}

/**
 * Moves the files of a detector into a folder that has one, on the same disk. The manifest comes last, and only then
 * files of the old detector are removed.
 */
export async function replaceFiles(from: string, target: string): Promise<void> {
  const names = (await readdir(from)).filter((name) => kindOfFile(name) !== undefined);
  names.sort((a, b) => Number(a === manifestFile) - Number(b === manifestFile));
  for (const name of names) await rename(join(from, name), join(target, name));
  for (const name of await readdir(target)) {
    if (kindOfFile(name) !== undefined && !names.includes(name)) await rm(join(target, name));
  }
}

/** Returns a string that changes whenever a file of a detector changes. */
export async function signatureOfFiles(folder: string): Promise<string> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => kindOfFile(name) !== undefined);
  const parts: string[] = [];
  for (const name of names.sort()) {
    const found = await stat(join(folder, name)).catch(() => undefined);
    if (found) parts.push(`${folder}/${name}:${found.ino}:${found.size}:${found.mtimeMs}`);
  }
  return parts.join('\n');
}
