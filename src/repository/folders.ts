/** The folder of detectors on disk. Every change leaves it whole for a reader at any moment. */
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

/** Names a detector may have. */
export const detectorName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/**
 * Names of the folders that may be detectors, sorted.
 * @throws DetectorError when the folder cannot be read, or is a detector itself.
 */
export async function namesIn(root: string): Promise<string[]> {
  if (await isDetector(root)) {
    throw new DetectorError(`${root} is a detector; wanted the folder that contains it`);
  }
  const entries = await readdir(root, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    const known: Record<string, string> = {
      ENOENT: 'does not exist; create it (it may be empty)',
      ENOTDIR: 'is a file; wanted a folder',
    };
    throw new DetectorError(`the folder of detectors ${root} ${known[error.code ?? ''] ?? error.message}`);
  });
  return entries
    .filter((entry) => !entry.isFile() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .sort();
}

/** Says which version is the current one, and which were before it. */
export async function writeHistory(root: string, name: string, versions: readonly string[]): Promise<void> {
  const path = join(root, name, historyFile);
  await replaceFile(path, `${versions.join('\n')}\n`);
}

/**
 * Moves a version to its place beside the others of its detector. A detector that is a folder by itself becomes a folder
 * of versions. What is already in that place, damaged for example, is replaced.
 * @param from the version's folder, on the same disk.
 * @param alone the version that the detector's folder is itself, if so; `damaged` if its manifest cannot be read.
 */
export async function placeVersion(
  root: string,
  name: string,
  from: string,
  version: string,
  alone: string | 'damaged' | undefined,
): Promise<void> {
  const target = join(root, name);
  if (alone === version) {
    await swapFolder(from, target);
    return;
  }
  if (alone !== undefined) {
    // Names that begin with a dot are not detectors, and hidden versions are not read.
    const moving = join(root, `.${name}.moving`);
    await mkdir(moving);
    await rename(target, join(moving, alone === 'damaged' ? `.damaged-${randomUUID()}` : alone));
    await rename(moving, target);
  }
  await makeFolder(target);
  await swapFolder(from, join(target, version));
}

/** Puts a folder in the place of another. */
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
 * Makes a version the current one, in front of those that were current before.
 * @param before versions that were current, the latest first.
 */
export async function preferVersion(
  root: string,
  name: string,
  version: string,
  before: readonly string[],
): Promise<void> {
  const folder = await readVersions(root, name);
  // A detector that is a folder by itself has only one version.
  if (!folder || folder.versions[0]?.folder === join(root, name)) return;
  await writeHistory(root, name, [...new Set([version, ...before])]);
}

/**
 * Moves a version that lies beside the others of its detector to its place, and makes it the current one.
 * @param folder of the detector.
 * @param from the version's folder, on the same disk.
 */
export async function adoptVersion(folder: string, from: string, version: string): Promise<void> {
  const [root, name] = [dirname(resolve(folder)), basename(resolve(folder))];
  const before = await readVersions(root, name);
  const target = join(folder, version);
  if (await exists(target)) await rm(from, { recursive: true });
  else await rename(from, target);
  await writeHistory(root, name, [...new Set([version, ...(before?.history ?? [])])]);
}

/** Completes a {@link placeVersion} that was interrupted, and removes what was being unpacked. */
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

/** Completes a {@link swapFolder} that was interrupted. */
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

/** An empty folder beside the detectors, from which a version can be moved to its place in one step. */
export async function incomingFolder(root: string, id: string): Promise<string> {
  const folder = join(root, `${incomingPrefix}${id}`);
  await mkdir(folder);
  return folder;
}

/** Changes whenever a file of the detector, or its choice of the current version, does. */
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

/** Whether there is a file or folder. */
export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
