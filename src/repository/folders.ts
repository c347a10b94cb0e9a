/** The folder of detectors on disk. Readers see a complete folder at any time, also during a change. */
import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import {
  DetectorError,
  historyFile,
  isDetector,
  kindOfFile,
  manifestFile,
  photosSuffix,
  readManifest,
  readVersions,
  replaceFiles,
  signatureOfFiles,
  type VersionFolder,
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
 * versions. Of a version that is already in that place the files are replaced: they may be damaged.
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
    await replaceFiles(from, target);
    return;
  }
  await makeFolder(target);
  const place = join(target, version);
  await moveVersion(from, place);
  if (singleVersion === undefined) return;
  // The folder counts as a single version as long as it has a manifest: it becomes a folder of versions in one step.
  const files = (await readdir(target)).filter((file) => kindOfFile(file) !== undefined);
  const kept = join(target, singleVersion === 'damaged' ? `.damaged-${randomUUID()}` : singleVersion);
  if (!(await exists(kept))) {
    const copy = join(target, `${incomingPrefix}${randomUUID()}`);
    await mkdir(copy);
    for (const file of files) await copyFile(join(target, file), join(copy, file));
    await rename(copy, kept);
  }
  await writeHistory(root, name, [singleVersion === 'damaged' ? version : singleVersion]);
  await rm(join(target, manifestFile));
  for (const file of files) await rm(join(target, file), { force: true });
}

/** Moves a version to its place; of one that is there already the files are replaced. */
async function moveVersion(from: string, place: string): Promise<void> {
  if (!(await exists(place))) {
    await rename(from, place);
    return;
  }
  await replaceFiles(from, place);
  await rm(from, { recursive: true, force: true });
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
  await moveVersion(from, join(folder, version));
  await writeHistory(root, name, [...new Set([version, ...(before?.history ?? [])])]);
}

/** Returns the version if the detector's folder is a single version, and not a folder of versions. */
export async function singleVersion(
  root: string,
  name: string,
  versions: readonly VersionFolder[] = [],
): Promise<string | 'damaged' | undefined> {
  const folder = join(root, name);
  if (!(await isDetector(folder))) return undefined;
  return versions.find((version) => version.folder === folder)?.version ?? 'damaged';
}

/** Returns the name of the file with the photos of versions of a detector, in its folder. @param fingerprint of the photos. */
export function keptPhotos(fingerprint: string): string {
  return `${fingerprint.slice(0, 16)}${photosSuffix}`;
}

/** Removes the photos that no version of a detector was made from any more. */
export async function dropUnusedPhotos(root: string, name: string): Promise<void> {
  const folder = join(root, name);
  const left = (await readVersions(root, name))?.versions ?? [];
  const manifests = await Promise.all(left.map((version) => readManifest(version.folder)));
  const used = manifests.map(({ manifest }) => keptPhotos(manifest.data.fingerprint));
  for (const file of await readdir(folder)) {
    if (file.endsWith(photosSuffix) && !used.includes(file)) await rm(join(folder, file));
  }
}

/** Removes incomplete uploads. */
export async function recover(root: string): Promise<void> {
  for (const folder of [root, ...(await readdir(root)).map((name) => join(root, name))]) {
    if (!(await isFolder(folder))) continue;
    for (const name of await readdir(folder)) {
      if (!name.startsWith(incomingPrefix)) continue;
      // A younger one may be what another service receives now.
      const { mtimeMs } = await stat(join(folder, name));
      if (Date.now() - mtimeMs > leftAfterMs) await rm(join(folder, name), { recursive: true, force: true });
    }
  }
}

const incomingPrefix = '.incoming-';

/** An upload that nobody has written to for so long was left. */
const leftAfterMs = 3_600_000;

/** Creates an empty folder on the same disk as the detectors, so that a version can be moved in one step. */
export async function incomingFolder(root: string, id: string): Promise<string> {
  const folder = join(root, `${incomingPrefix}${id}`);
  await mkdir(folder);
  return folder;
}

/** Returns a string that changes whenever a file of the detector or of one of its versions changes. */
export async function signatureOf(root: string, name: string): Promise<string> {
  const folder = join(root, name);
  const history = await stat(join(folder, historyFile)).catch(() => undefined);
  const folders = [...new Set([folder, ...(await versionFolders(folder))])];
  const parts = await Promise.all(folders.map(signatureOfFiles));
  return [...parts, ...(history ? [`${history.ino}:${history.size}:${history.mtimeMs}`] : [])].join('\n');
}

export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
