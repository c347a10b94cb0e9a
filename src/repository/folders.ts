/** Writing to the folder of detectors, so that whoever reads it at any moment finds it whole. */
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
import { makeFolder } from '../files/folders.js';
import { replaceFile } from '../files/replace-file.js';

/** Names a detector may have. */
export const detectorName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/**
 * Names of the folders that may be detectors, sorted.
 * @throws DetectorError when the folder cannot be read, or is a detector itself.
 */
export async function namesIn(root: string): Promise<string[]> {
  if (await isDetector(root)) {
    throw new DetectorError(
      `${root} is a detector; wanted the folder it lies in, as the folder of detectors`,
    );
  }
  const entries = await readdir(root, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    const known: Record<string, string> = {
      ENOENT: 'does not exist; make it, empty if you like',
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
 * Moves a version to where the others of its detector are; one that is a folder by itself becomes a folder of versions.
 * @param alone the version that the detector's folder is itself, if so.
 */
export async function addVersion(
  root: string,
  name: string,
  from: string,
  version: string,
  alone: string | undefined,
): Promise<void> {
  const target = join(root, name);
  if (alone !== undefined) {
    // Names that begin with a dot are no detectors.
    const moving = join(root, `.${name}.moving`);
    await mkdir(moving);
    await rename(target, join(moving, alone));
    await rename(moving, target);
  }
  await makeFolder(target);
  await rename(from, join(target, version));
}

/**
 * Takes a version that lies beside the others of its detector, under whatever name, to its place, and makes it current.
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

/** Finishes what was interrupted between the two steps of {@link addVersion}, and clears what was being unpacked. */
export async function recover(root: string): Promise<void> {
  for (const entry of await readdir(root)) {
    const [, name] = /^\.(.+)\.moving$/.exec(entry) ?? [];
    if (name !== undefined) {
      const target = join(root, name);
      if (await exists(target)) await rm(join(root, entry), { recursive: true });
      else await rename(join(root, entry), target);
    } else if (entry.startsWith(incomingPrefix)) {
      await rm(join(root, entry), { recursive: true, force: true });
    }
  }
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
