/** The status of detectors that a repository reports. */
import { join } from 'node:path';
import type { DetectorVersions, VersionFolder } from '../detector/index.js';
import type { VersionLoader } from './loader.js';

/** `unverified`: the self-test has not run here yet; it runs on first use. */
export type VersionState = 'verified' | 'unverified' | 'refused';

export interface VersionStatus extends VersionFolder {
  readonly state: VersionState;
  /** Why it is refused. */
  readonly reason?: string;
  readonly current: boolean;
  readonly loaded: boolean;
}

export interface DetectorStatus {
  readonly name: string;
  /** Undefined if all versions are refused. */
  readonly current: VersionFolder | undefined;
  /** Whether requests are answered; an unloaded detector must be loaded first. */
  readonly available: boolean;
  readonly versions: readonly VersionStatus[];
  /** Why it, or one of its folders, is refused. */
  readonly reasons: readonly string[];
}

/** A detector as the repository knows it. */
export interface Entry {
  readonly folder: DetectorVersions;
  /** The version that serves. */
  readonly current: VersionFolder | undefined;
  available: boolean;
}

/** @param root folder of detectors; messages to clients leave it out. */
export function statusOf(name: string, entry: Entry, loader: VersionLoader, root: string): DetectorStatus {
  const { folder, current, available } = entry;
  const shown = (reason: string): string => reason.replaceAll(join(root, '/'), '');
  const versions = folder.versions.map((version): VersionStatus => {
    const finding = loader.finding(name, version.version);
    return {
      ...version,
      state: finding === undefined ? 'unverified' : finding.passed ? 'verified' : 'refused',
      ...(finding && !finding.passed ? { reason: shown(finding.reason) } : {}),
      current: version.version === current?.version,
      loaded: loader.isLoaded(name, version.version),
    };
  });
  const reasons = [...folder.problems.map(shown), ...versions.flatMap(({ reason }) => reason ?? [])];
  return { name, current, available, versions, reasons };
}

/** Maximum number of names in an error message. */
const listedNames = 10;

/** Lists names of detectors for a message. */
export function listNames(names: readonly string[]): string {
  const known = names.slice(0, listedNames).map((name) => `'${name}'`);
  const more = names.length > listedNames ? ` and ${names.length - listedNames} more` : '';
  return `${known.join(', ') || 'none'}${more}`;
}
