/**
 * Detectors on disk. A detector is a folder with a manifest and has one version, or it is a folder with such a folder
 * for each version. The file `current` in that folder lists one version per line: the current one first, then those
 * that were current before. Without this file, the newest version is current.
 */

import { readdir, readlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describeError } from '../files/explain.js';
import { readText } from '../files/read-text.js';
import type { InputSize } from '../imaging/index.js';
import { DetectorError } from './detector-error.js';
import { readManifest } from './detector-folder.js';
import { detectorsIn, isDetector } from './detectors-in.js';
import { modelsFolder } from './find-expert.js';
import type { Manifest } from './manifest.js';

/** A version as described by its manifest. */
export interface VersionFolder {
  readonly version: string;
  readonly folder: string;
  /** ISO 8601 */
  readonly created: string;
  readonly inputSize: InputSize;
  readonly threshold: number;
  /** That the threshold promises. */
  readonly falseAlarmRate: number;
  /** Good photos that it was made from. */
  readonly photos: number;
  /** Name of the expert. */
  readonly expert: string;
}

export interface DetectorVersions {
  readonly name: string;
  /** The current one first, then those that were current before it, then the others, newest first. */
  readonly versions: readonly VersionFolder[];
  /** Versions that are or were current, latest first; all versions if none was chosen yet. */
  readonly history: readonly string[];
  /** Parts of the folder that cannot be used, and why. */
  readonly problems: readonly string[];
}

/** File next to the versions of a detector that lists the current one and those before it. */
export const historyFile = 'current';

/** Returns the versions in the folder of a detector; undefined if it is empty or missing. */
export async function readVersions(root: string, name: string): Promise<DetectorVersions | undefined> {
  const folders = await versionFolders(join(root, name));
  const problems: string[] = [];
  if (folders.length === 0) {
    const problem = await whyWithout(join(root, name));
    if (problem === undefined) return undefined;
    problems.push(problem);
  }
  const versions = new Map<string, VersionFolder>();
  for (const folder of folders) {
    try {
      const { manifest, version } = await readManifest(folder);
      if (!versions.has(version)) versions.set(version, summary(manifest, version, folder));
    } catch (error) {
      if (!(error instanceof DetectorError)) throw error;
      problems.push(error.message);
    }
  }
  const found = [...versions.values()].sort(
    (a, b) => b.created.localeCompare(a.created) || a.folder.localeCompare(b.folder),
  );
  const chosen = await readHistory(join(root, name), found);
  const [wanted] = chosen;
  if (wanted !== undefined && !versions.has(wanted)) {
    const known = found.map(({ version }) => version).join(', ');
    problems.push(
      `${join(root, name, historyFile)} names '${wanted}', which is not a version here; available: ${known || 'none'}`,
    );
  }
  const history = chosen.length > 0 ? chosen : found.map(({ version }) => version);
  const rank = ({ version }: VersionFolder): number =>
    history.includes(version) ? history.indexOf(version) : history.length;
  return { name, versions: found.sort((a, b) => rank(a) - rank(b)), history, problems };
}

/** Returns why a folder holds no version; undefined if it is empty or missing. */
async function whyWithout(folder: string): Promise<string | undefined> {
  const target = await readlink(folder).catch(() => undefined);
  const found = await readdir(folder).catch((error: NodeJS.ErrnoException) => error);
  if (Array.isArray(found)) {
    return found.length > 0 ? `${folder} has no manifest.json and no folder with one` : undefined;
  }
  if (found.code !== 'ENOENT') return describeError(found, folder);
  return target === undefined ? undefined : `${folder} is a link to ${target}, which does not exist`;
}

/**
 * Returns the folder of a detector's current version.
 * @param nameOrPath a detector's folder, a version's folder or an embedded detector's name; returned if it is none.
 */
export async function findDetector(nameOrPath: string): Promise<string> {
  for (const candidate of [nameOrPath, join(modelsFolder, nameOrPath)]) {
    if (await isDetector(candidate)) return candidate;
    // A folder of detectors looks like a folder of versions, but has no chosen version.
    if (await hasVersions(candidate)) {
      const [current] = (await readVersions(dirname(candidate), basename(candidate)))?.versions ?? [];
      if (current) return current.folder;
    }
  }
  return nameOrPath;
}

/** Returns whether a folder holds versions, one of which was chosen as current. */
export async function hasVersions(folder: string): Promise<boolean> {
  return (await readHistory(folder, [])).length > 0;
}

/** Returns the folders that may be versions. */
export async function versionFolders(folder: string): Promise<string[]> {
  if (await isDetector(folder)) return [folder];
  const names = await detectorsIn(folder);
  return names.filter((name) => !name.startsWith('.')).map((name) => join(folder, name));
}

/** @param versions that the file may name by version or by folder. */
async function readHistory(folder: string, versions: readonly VersionFolder[]): Promise<string[]> {
  const text = await readText(join(folder, historyFile)).catch(() => '');
  const lines = text.split(/\s+/).filter((line) => line !== '');
  const byFolder = new Map(versions.map((known) => [basename(known.folder), known.version]));
  return [...new Set(lines.map((line) => byFolder.get(line) ?? line))];
}

function summary(manifest: Manifest, version: string, folder: string): VersionFolder {
  const { created, inputSize, calibration, data, expert } = manifest;
  const { threshold, falseAlarmRate } = calibration;
  const photos = data.images;
  return { version, folder, created, inputSize, threshold, falseAlarmRate, photos, expert: expert.name };
}
