/**
 * Detectors on disk. A detector is a folder with a manifest, and has one version then; or a folder of such folders, one
 * for each version. Which version is the current one follows from the folder alone: the first that the file `current`
 * names, a version a line, the one before it next; without that file the version distilled last.
 */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  DetectorError,
  detectorFiles,
  detectorsIn,
  isDetector,
  type Manifest,
  readManifest,
} from '../detector/index.js';

/** A version as its manifest shows it. */
export interface VersionFolder {
  readonly version: string;
  readonly folder: string;
  /** ISO 8601 */
  readonly created: string;
  readonly inputSize: number;
  readonly threshold: number;
}

export interface DetectorFolder {
  readonly name: string;
  /** The current one first, then the others in the order in which one would go back to them. */
  readonly versions: readonly VersionFolder[];
  /** Folders whose manifest cannot be used, and why. */
  readonly unreadable: readonly string[];
}

/** Names a detector may have. */
export const detectorName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** Names of the folders that may be detectors, sorted. @throws DetectorError when the folder cannot be read. */
export async function namesIn(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch((error: Error) => {
    throw new DetectorError(`the folder of detectors cannot be read: ${error.message}`);
  });
  return entries
    .filter((entry) => !entry.isFile() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .sort();
}

/** What a detector's folder holds; undefined where it is no detector. */
export async function readDetectorFolder(root: string, name: string): Promise<DetectorFolder | undefined> {
  const folders = await versionFolders(join(root, name));
  if (folders.length === 0) return undefined;
  const versions = new Map<string, VersionFolder>();
  const unreadable: string[] = [];
  for (const folder of folders) {
    try {
      const { manifest, version } = await readManifest(folder);
      if (!versions.has(version)) versions.set(version, summary(manifest, version, folder));
    } catch (error) {
      if (!(error instanceof DetectorError)) throw error;
      unreadable.push(error.message);
    }
  }
  const history = await readHistory(root, name);
  const rank = ({ version }: VersionFolder): number =>
    history.includes(version) ? history.indexOf(version) : history.length;
  return {
    name,
    versions: [...versions.values()].sort(
      (a, b) => rank(a) - rank(b) || b.created.localeCompare(a.created) || a.folder.localeCompare(b.folder),
    ),
    unreadable,
  };
}

function summary(manifest: Manifest, version: string, folder: string): VersionFolder {
  const { created, inputSize, calibration } = manifest;
  return { version, folder, created, inputSize, threshold: calibration.threshold };
}

/** Says which version is the current one, and which came before it. */
export async function writeHistory(root: string, name: string, versions: readonly string[]): Promise<void> {
  const path = join(root, name, 'current');
  await writeFile(`${path}.new`, `${versions.join('\n')}\n`);
  await rename(`${path}.new`, path);
}

/** Versions that are or were current, the latest first; none where the file is not there. */
export async function readHistory(root: string, name: string): Promise<string[]> {
  const text = await readFile(join(root, name, 'current'), 'utf8').catch(() => '');
  return text.split(/\s+/).filter((line) => line !== '');
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
  await mkdir(target, { recursive: true });
  await rename(from, join(target, version));
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
    for (const file of ['', ...detectorFiles, 'current']) {
      const found = await stat(join(folder, file)).catch(() => undefined);
      if (found) parts.push(`${folder}/${file}:${found.ino}:${found.size}:${found.mtimeMs}`);
    }
  }
  return parts.join('\n');
}

async function versionFolders(folder: string): Promise<string[]> {
  if (await isDetector(folder)) return [folder];
  const names = await detectorsIn(folder);
  return names.filter((name) => !name.startsWith('.')).map((name) => join(folder, name));
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
