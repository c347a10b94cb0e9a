/** The folder of detectors on disk. Readers see a complete folder at any time, also during a change. */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import {
  DetectorError,
  detectorFiles,
  historyFile,
  isDetector,
  readVersions,
  versionFolders,
} from '../detector/index.js';
import { isFolder, makeFolder } from '../files/folders.js';
import { replaceFile } from '../files/replace-file.js';

/** Valid names of detectors. */
export const detectorName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/**
 * Returns the names of the folders that may be detectors, sorted.
 * @throws DetectorError if the folder cannot be read, or is a detector itself.
 */
export async function namesIn(root: string): Promise<string[]> {
  if (await isDetector(root)) {
    throw new DetectorError(`${root} is a detector; pass the folder that contains it`);
  }
  const entries = await readdir(root, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    const known: Record<string, string> = {
      ENOENT: 'does not exist; create it (it may be empty)',
      ENOTDIR: 'is a file; pass a folder',
    };
    throw new DetectorError(`the folder of detectors ${root} ${known[error.code ?? ''] ?? error.message}`);
  });
  return (
    entries
      .filter((entry) => !entry.isFile() && !entry.name.startsWith('.'))
      // What an interrupted distillation left beside its detector.
      .filter(({ name }) => !name.endsWith('.checkpoint'))
      .map(({ name }) => name)
      .sort()
  );
}

/** Writes which version is the current one, and which ones were current before it, the latest first. */
export async function writeHistory(root: string, name: string, versions: readonly string[]): Promise<void> {
  const path = join(root, name, historyFile);
  await replaceFile(path, `${versions.join('\n')}\n`);
}

/**
 * Moves a version to its place next to the others of its detector. A detector with a single version becomes a folder of
 * versions. A version that is already in that place is replaced: it may be damaged.
 * @param from the version's folder, on the same disk.
 * @param singleVersion the version, if the detector's folder is a single one; `damaged` if its manifest cannot be read.
 */
export async function placeVersion(
  root: string,
  name: string,
  from: string,
  version: string,
  singleVersion: string | 'damaged' | undefined,
): Promise<void> {
  const target = join(root, name);
  if (singleVersion === version) {
    await swapFolder(from, target);
    return;
  }
  if (singleVersion !== undefined) {
    // Detectors and versions whose names start with a dot are ignored.
    const moving = join(root, `.${name}.moving`);
    await mkdir(moving);
    await rename(
      target,
      join(moving, singleVersion === 'damaged' ? `.damaged-${randomUUID()}` : singleVersion),
    );
    await rename(moving, target);
  }
  await makeFolder(target);
  await swapFolder(from, join(target, version));
}

/** Replaces a folder with another one. */
async function swapFolder(from: string, target: string): Promise<void> {
  if (!(await exists(target))) {
    await rename(from, target);
    return;
  }
  const old = join(dirname(target), `.${basename(target)}.swapped-${randomUUID()}`);
  await rename(target, old);
  await rename(from, target);
  await rm(old, { recursive: true, force: true });
}

/**
 * Makes a version the current one, ahead of those that were current before.
 * @param before versions that were current, the latest first.
 */
export async function setCurrentVersion(
  root: string,
  name: string,
  version: string,
  before: readonly string[],
): Promise<void> {
  const folder = await readVersions(root, name);
  // Only a folder of versions has a history.
  if (!folder || folder.versions[0]?.folder === join(root, name)) return;
  await writeHistory(root, name, [...new Set([version, ...before])]);
}

/**
 * Moves a new version to its place among the others of its detector, and makes it the current one.
 * @param folder of the detector.
 * @param from the version's folder, on the same disk.
 */
export async function addAsCurrent(folder: string, from: string, version: string): Promise<void> {
  const [root, name] = [dirname(resolve(folder)), basename(resolve(folder))];
  const before = await readVersions(root, name);
  const target = join(folder, version);
  if (await exists(target)) await rm(from, { recursive: true });
  else await rename(from, target);
  await writeHistory(root, name, [...new Set([version, ...(before?.history ?? [])])]);
}

/** Completes an interrupted {@link placeVersion}, and removes incomplete uploads. */
export async function recover(root: string): Promise<void> {
  for (const entry of await readdir(root)) {
    const path = join(root, entry);
    const [, name] = /^\.(.+)\.moving$/.exec(entry) ?? [];
    if (name !== undefined) await restore(path, join(root, name));
    else if (entry.startsWith(incomingPrefix)) await rm(path, { recursive: true, force: true });
    else await recoverSwap(root, entry);
    if (await isFolder(path)) {
      for (const inside of await readdir(path)) await recoverSwap(path, inside);
    }
  }
}

/** Completes an interrupted {@link swapFolder}. */
async function recoverSwap(folder: string, entry: string): Promise<void> {
  const [, name] = /^\.(.+)\.swapped-[0-9a-f-]+$/.exec(entry) ?? [];
  if (name !== undefined) await restore(join(folder, entry), join(folder, name));
}

/** Moves a folder back to its place, or removes it if the place is taken. */
async function restore(from: string, target: string): Promise<void> {
  if (await exists(target)) await rm(from, { recursive: true, force: true });
  else await rename(from, target);
}

const incomingPrefix = '.incoming-';

/** Creates an empty folder on the same disk as the detectors, so that a version can be moved in one step. */
export async function incomingFolder(root: string, id: string): Promise<string> {
  const folder = join(root, `${incomingPrefix}${id}`);
  await mkdir(folder);
  return folder;
}

/** Returns a string that changes whenever a file of the detector or its current version changes. */
export async function signatureOf(root: string, name: string): Promise<string> {
  const parts: string[] = [];
  for (const folder of [join(root, name), ...(await versionFolders(join(root, name)))]) {
    for (const file of ['', ...detectorFiles, historyFile]) {
      const found = await stat(join(folder, file)).catch(() => undefined);
      if (found) parts.push(`${folder}/${file}:${found.ino}:${found.size}:${found.mtimeMs}`);
    }
  }
  return parts.join('\n');
}

export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
