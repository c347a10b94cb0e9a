/**
 * Detectors on disk. A detector is a folder with a manifest, and has one version then; or a folder of such folders, one
 * for each version. Which version is the current one follows from the folder alone: the first that the file `current`
 * names, a version a line, those that were current before it next; without that file the version made last.
 */
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { readManifest } from './detector-folder.js';
import { detectorsIn, isDetector } from './detectors-in.js';
import { modelsFolder } from './find-expert.js';
import { DetectorError, type Manifest } from './manifest.js';

/** A version as its manifest shows it. */
export interface VersionFolder {
  readonly version: string;
  readonly folder: string;
  /** ISO 8601 */
  readonly created: string;
  readonly inputSize: number;
  readonly threshold: number;
}

export interface DetectorVersions {
  readonly name: string;
  /** The current one first, then those that were current before it, then the others, made last first. */
  readonly versions: readonly VersionFolder[];
  /** Versions that are or were current, the latest first; all of them where nobody has chosen yet. */
  readonly history: readonly string[];
  /** What in the folder cannot be used, and why. */
  readonly faults: readonly string[];
}

/** Beside the versions of a detector: which one is current, and which were before. */
export const historyFile = 'current';

/** What the folder of a detector holds; undefined where there is nothing. */
export async function readVersions(root: string, name: string): Promise<DetectorVersions | undefined> {
  const folders = await versionFolders(join(root, name));
  const faults: string[] = [];
  if (folders.length === 0) {
    const entries = await readdir(join(root, name)).catch(() => []);
    if (entries.length === 0) return undefined;
    faults.push(`${join(root, name)} holds no manifest.json, nor a folder with one`);
  }
  const versions = new Map<string, VersionFolder>();
  for (const folder of folders) {
    try {
      const { manifest, version } = await readManifest(folder);
      if (!versions.has(version)) versions.set(version, summary(manifest, version, folder));
    } catch (error) {
      if (!(error instanceof DetectorError)) throw error;
      faults.push(error.message);
    }
  }
  const found = [...versions.values()].sort(
    (a, b) => b.created.localeCompare(a.created) || a.folder.localeCompare(b.folder),
  );
  const chosen = await readHistory(join(root, name), found);
  const [wanted] = chosen;
  if (wanted !== undefined && !versions.has(wanted)) {
    const known = found.map(({ version }) => version).join(', ');
    faults.push(
      `${join(root, name, historyFile)} names '${wanted}', which is no version here; there are ${known || 'none'}`,
    );
  }
  const history = chosen.length > 0 ? chosen : found.map(({ version }) => version);
  const rank = ({ version }: VersionFolder): number =>
    history.includes(version) ? history.indexOf(version) : history.length;
  return { name, versions: found.sort((a, b) => rank(a) - rank(b)), history, faults };
}

/**
 * The folder of a detector's current version, from the path of either, or from the name of an embedded detector; the path
 * itself where there is none.
 */
export async function findDetector(nameOrPath: string): Promise<string> {
  for (const candidate of [nameOrPath, join(modelsFolder, nameOrPath)]) {
    if (await isDetector(candidate)) return candidate;
    // A folder of detectors looks like one of versions; but only versions have one that was chosen.
    if (await hasVersions(candidate)) {
      const [current] = (await readVersions(dirname(candidate), basename(candidate)))?.versions ?? [];
      if (current) return current.folder;
    }
  }
  return nameOrPath;
}

/** Whether a folder is one of versions, of which one was chosen. */
export async function hasVersions(folder: string): Promise<boolean> {
  return (await readHistory(folder, [])).length > 0;
}

/** Folders of what may be versions. */
export async function versionFolders(folder: string): Promise<string[]> {
  if (await isDetector(folder)) return [folder];
  const names = await detectorsIn(folder);
  return names.filter((name) => !name.startsWith('.')).map((name) => join(folder, name));
}

/** @param versions which may be named by their folders too. */
async function readHistory(folder: string, versions: readonly VersionFolder[]): Promise<string[]> {
  const text = await readFile(join(folder, historyFile), 'utf8').catch(() => '');
  const lines = text.split(/\s+/).filter((line) => line !== '');
  const byFolder = new Map(versions.map((known) => [basename(known.folder), known.version]));
  return [...new Set(lines.map((line) => byFolder.get(line) ?? line))];
}

function summary(manifest: Manifest, version: string, folder: string): VersionFolder {
  const { created, inputSize, calibration } = manifest;
  return { version, folder, created, inputSize, threshold: calibration.threshold };
}
