/**
 * The detectors of a service, as they come and go while it runs. The folder is the truth; in memory are those that were
 * used last. A version serves once it has passed its self-test, and until then, or if it does not, the one before it
 * does. What is under way keeps the version it began with.
 */
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import {
  DetectorError,
  type LoadedDetector,
  readDetector,
  type ScoringEngine,
  verified,
  withoutSelfTest,
} from '../detector/index.js';
import { unpackDetector } from './archive.js';
import { RepositoryError } from './errors.js';
import {
  addVersion,
  type DetectorFolder,
  detectorName,
  incomingFolder,
  namesIn,
  readDetectorFolder,
  readHistory,
  recover,
  signatureOf,
  type VersionFolder,
  writeHistory,
} from './folders.js';
import { Memory } from './memory.js';

export interface RepositoryOptions {
  /** Folder whose subfolders are detectors. */
  readonly detectors: string;
  /** Folders of experts, besides that of the package. */
  readonly experts: readonly string[];
  /** Versions in memory; others are read again when they are asked for. */
  readonly maxLoaded?: number;
}

export const defaultMaxLoaded = 64;

export interface RepositoryLog {
  info(details: object, message: string): void;
  error(details: object, message: string): void;
}

/** Whether a version has passed its self-test here; one that has not is put to it when it is first used. */
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
  /** Undefined where all versions are refused. */
  readonly current: VersionFolder | undefined;
  /** Whether requests are answered; an unloaded one waits for being loaded again. */
  readonly available: boolean;
  readonly versions: readonly VersionStatus[];
  /** Why it is refused, or some of its folders are. */
  readonly reasons: readonly string[];
}

interface Entry {
  readonly folder: DetectorFolder;
  /** The version that serves. */
  readonly current: VersionFolder | undefined;
  available: boolean;
}

/** What self-tests have found, by detector and version. */
type Findings = Map<string, { readonly passed: true } | { readonly passed: false; readonly reason: string }>;

export class DetectorRepository {
  readonly #entries = new Map<string, Entry>();
  readonly #findings: Findings = new Map();
  readonly #memory: Memory<LoadedDetector>;
  /** Changes come one after another. */
  #changing: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly engine: ScoringEngine,
    private readonly options: RepositoryOptions,
    private readonly log: RepositoryLog,
  ) {
    this.#memory = new Memory(options.maxLoaded ?? defaultMaxLoaded);
  }

  /**
   * Reads all manifests, and verifies and warms up as many detectors as stay in memory.
   * @throws DetectorError when there is none to serve.
   */
  static async open(
    engine: ScoringEngine,
    options: RepositoryOptions,
    log: RepositoryLog,
  ): Promise<DetectorRepository> {
    const { detectors, maxLoaded = defaultMaxLoaded } = options;
    // Nothing to put right where nothing may be written.
    await recover(detectors).catch(() => undefined);
    const names = await namesIn(detectors);
    const repository = new DetectorRepository(engine, options, log);
    for (const name of names) await repository.#refresh(name, repository.#memory.size < maxLoaded);
    if (repository.list().every(({ current }) => current === undefined)) {
      const why = repository
        .list()
        .map(({ name, reasons }) => `${name}: ${reasons.join(', ')}`)
        .join('; ');
      throw new DetectorError(
        `there is no detector to serve in ${detectors}${why ? ` (${why})` : ''}; distill one with mkd distill`,
      );
    }
    return repository;
  }

  /** Detectors that serve. */
  get size(): number {
    let count = 0;
    for (const { current } of this.#entries.values()) if (current) count++;
    return count;
  }

  /** Versions in memory. */
  get loaded(): number {
    return this.#memory.size;
  }

  list(): DetectorStatus[] {
    return [...this.#entries.keys()].map((name) => this.status(name));
  }

  /** @throws RepositoryError `unknown-detector` naming those there are. */
  status(name: string): DetectorStatus {
    const { folder, current, available } = this.#entry(name);
    const versions = folder.versions.map((version): VersionStatus => {
      const finding = this.#findings.get(keyOf(name, version.version));
      return {
        ...version,
        state: finding === undefined ? 'unverified' : finding.passed ? 'verified' : 'refused',
        ...(finding && !finding.passed ? { reason: finding.reason } : {}),
        current: version.version === current?.version,
        loaded: this.#memory.has(keyOf(name, version.version)),
      };
    });
    const reasons = [...folder.unreadable, ...versions.flatMap(({ reason }) => reason ?? [])];
    return { name, current, available, versions, reasons };
  }

  /**
   * A detector to score with.
   * @param version by default the current one.
   * @throws RepositoryError `unknown-detector`, `unknown-version`.
   */
  async acquire(name: string, version?: string): Promise<LoadedDetector> {
    const entry = this.#entry(name);
    if (!entry.available) {
      throw new RepositoryError('unknown-detector', `detector '${name}' is unloaded; load it first`);
    }
    try {
      if (version !== undefined) return await this.#load(name, this.#version(entry, version));
      if (entry.current) return await this.#load(name, entry.current);
    } catch (error) {
      if (!(error instanceof DetectorError)) throw error;
      // One that is found wanting only now gives way to the version before it, if there is one.
      await this.refresh(name);
      const { current } = this.#entry(name);
      if (version === undefined && current && current.version !== entry.current?.version) {
        return this.#load(name, current);
      }
    }
    const { reasons } = this.status(name);
    throw new RepositoryError('unknown-detector', `detector '${name}' was refused: ${reasons.join('; ')}`);
  }

  /**
   * Takes an uploaded version: unpacks it, puts it to its self-test, and only then lets it serve.
   * @param archive tar, gzipped or not.
   * @param activate whether it becomes the current one.
   * @returns the version, and whether it is new here.
   * @throws RepositoryError; what served before then still does.
   */
  async add(
    name: string,
    archive: Readable,
    activate: boolean,
  ): Promise<{ readonly version: string; readonly added: boolean }> {
    if (!detectorName.test(name)) {
      throw new RepositoryError(
        'refused-detector',
        `'${name}' is no name for a detector; it has letters, digits, '.', '_' and '-', 100 at most`,
      );
    }
    const { detectors, experts } = this.options;
    const incoming = await writing(() => incomingFolder(detectors, randomUUID()));
    try {
      await writing(() => unpackDetector(archive, incoming));
      const read = await readDetector(incoming, experts).catch(asRefused);
      const { version } = read;
      const { report } = await verified(this.engine, read).catch(asRefused);
      return await this.#change(async () => {
        const before = this.#entries.get(name);
        const added = !before?.folder.versions.some((known) => known.version === version);
        if (added) await this.#place(name, incoming, version, before);
        this.#findings.set(keyOf(name, version), { passed: true });
        if (activate) await this.#prefer(name, version);
        else if (before?.current) await this.#prefer(name, before.current.version);
        await this.#refresh(name, true);
        this.log.info({ detector: name, version, added, ...report }, 'detector uploaded');
        return { version, added };
      });
    } finally {
      await rm(incoming, { recursive: true, force: true });
    }
  }

  /** Makes a version the current one. @throws RepositoryError when there is no such version, or it is refused. */
  async activate(name: string, version: string): Promise<void> {
    await this.#change(async () => {
      const entry = this.#entry(name);
      const wanted = this.#version(entry, version);
      await this.#load(name, wanted).catch(asRefused);
      await this.#prefer(name, version);
      await this.#refresh(name, true);
    });
  }

  /** Goes back to the version that was current before. @returns the version that serves now. */
  async rollBack(name: string): Promise<string> {
    return this.#change(async () => {
      const { folder, current } = this.#entry(name);
      const usable = folder.versions.filter(
        ({ version }) => this.#findings.get(keyOf(name, version))?.passed !== false,
      );
      const before = usable[usable.findIndex(({ version }) => version === current?.version) + 1];
      if (!before) {
        throw new RepositoryError('conflict', `detector '${name}' has no version to go back to`);
      }
      await this.#load(name, before).catch(asRefused);
      const history = await readHistory(this.options.detectors, name);
      const left = history.filter((version) => version !== current?.version && version !== before.version);
      await writing(() => writeHistory(this.options.detectors, name, [before.version, ...left]));
      await this.#refresh(name, true);
      return before.version;
    });
  }

  /** Removes a version, or a detector with all of them, from the folder for good. */
  async retire(name: string, version?: string): Promise<void> {
    await this.#change(async () => {
      const entry = this.#entry(name);
      const { detectors } = this.options;
      if (version === undefined) {
        await writing(() => rm(join(detectors, name), { recursive: true, force: true }));
      } else {
        const { folder } = this.#version(entry, version);
        if (entry.current?.version === version) {
          throw new RepositoryError(
            'conflict',
            `version ${version} of '${name}' serves; make another one the current one first, or retire the detector`,
          );
        }
        await writing(() => rm(folder, { recursive: true, force: true }));
      }
      await this.#refresh(name, true);
    });
  }

  /** Reads a detector into memory, and lets it serve again if it was unloaded. */
  async load(name: string): Promise<void> {
    this.#entry(name).available = true;
    await this.acquire(name);
  }

  /** Takes a detector out of memory; it does not serve until it is loaded again. */
  unload(name: string): void {
    const entry = this.#entry(name);
    entry.available = false;
    for (const { version } of entry.folder.versions) this.#memory.forget(keyOf(name, version));
  }

  /** Names of the detectors in the folder now, for whoever watches it. */
  async namesNow(): Promise<string[]> {
    const known = [...this.#entries.keys()];
    return [...new Set([...known, ...(await namesIn(this.options.detectors))])];
  }

  signature(name: string): Promise<string> {
    return signatureOf(this.options.detectors, name);
  }

  /** Takes over what has changed in the folder of a detector. */
  async refresh(name: string): Promise<void> {
    await this.#change(() => this.#refresh(name, true));
  }

  /** @param verify whether the current version is put to its self-test now, or when it is first used. */
  async #refresh(name: string, verify: boolean): Promise<void> {
    const folder = await readDetectorFolder(this.options.detectors, name);
    const before = this.#entries.get(name);
    if (!folder) {
      this.#entries.delete(name);
      if (before) this.#forget(name, before.folder.versions);
      if (before) this.log.info({ detector: name }, 'detector retired');
      return;
    }
    for (const reason of folder.unreadable) this.log.error({ detector: name, reason }, 'detector refused');
    const sound = verify ? await this.#firstSound(name, folder) : folder.versions[0];
    const served = before?.current;
    // Where what came in its place is refused, a version serves on from memory.
    const inMemory = served && this.#memory.has(keyOf(name, served.version)) ? served : undefined;
    const current = sound ?? inMemory;
    const kept = new Set([...folder.versions, ...(current ? [current] : [])].map(({ version }) => version));
    this.#forget(name, before?.folder.versions.filter(({ version }) => !kept.has(version)) ?? []);
    this.#entries.set(name, { folder, current, available: before?.available ?? true });
    if (current?.version !== before?.current?.version) {
      this.log.info({ detector: name, version: current?.version }, 'detector serves');
    }
  }

  #forget(name: string, versions: readonly VersionFolder[]): void {
    for (const { version } of versions) {
      this.#memory.forget(keyOf(name, version));
      this.#findings.delete(keyOf(name, version));
    }
  }

  async #firstSound(name: string, { versions }: DetectorFolder): Promise<VersionFolder | undefined> {
    for (const version of versions) {
      const sound = await this.#load(name, version).catch(() => undefined);
      if (sound) return version;
    }
    return undefined;
  }

  /** From memory, or from the folder; the first time with its self-test. */
  #load(name: string, { version, folder }: VersionFolder): Promise<LoadedDetector> {
    const key = keyOf(name, version);
    return this.#memory.get(key, async () => {
      try {
        const read = await readDetector(folder, this.options.experts);
        if (read.version !== version) {
          throw new DetectorError(`${folder} has changed: it is version ${read.version} now`);
        }
        if (this.#findings.get(key)?.passed) return withoutSelfTest(read);
        const { detector, report } = await verified(this.engine, read);
        await this.engine.warmUp(detector);
        this.#findings.set(key, { passed: true });
        this.log.info({ detector: name, version, ...report }, 'detector passed its self-test');
        return detector;
      } catch (error) {
        if (error instanceof DetectorError) {
          this.#findings.set(key, { passed: false, reason: error.message });
          this.log.error({ detector: name, version, reason: error.message }, 'detector refused');
        }
        throw error;
      }
    });
  }

  async #place(name: string, from: string, version: string, before: Entry | undefined): Promise<void> {
    const { detectors } = this.options;
    const [only] = before?.folder.versions ?? [];
    const alone = only?.folder === join(detectors, name) ? only.version : undefined;
    await writing(() => addVersion(detectors, name, from, version, alone));
  }

  async #prefer(name: string, version: string): Promise<void> {
    const { detectors } = this.options;
    const folder = await readDetectorFolder(detectors, name);
    // A detector that is a folder by itself has nothing to choose from.
    if (!folder || folder.versions[0]?.folder === join(detectors, name)) return;
    const earlier = (await readHistory(detectors, name)).filter((other) => other !== version);
    const serving = this.#entries.get(name)?.current?.version;
    if (serving !== undefined && serving !== version && !earlier.includes(serving)) earlier.unshift(serving);
    await writing(() => writeHistory(detectors, name, [version, ...earlier]));
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry) return entry;
    const names = [...this.#entries.keys()];
    const known = names.slice(0, listedNames).map((other) => `'${other}'`);
    const more = names.length > listedNames ? ` and ${names.length - listedNames} more` : '';
    throw new RepositoryError(
      'unknown-detector',
      `there is no detector '${name}'; there are ${known.join(', ') || 'none'}${more}`,
    );
  }

  #version({ folder }: Entry, version: string): VersionFolder {
    const found = folder.versions.find((known) => known.version === version);
    if (found) return found;
    const known = folder.versions.map((other) => other.version).join(', ');
    throw new RepositoryError(
      'unknown-version',
      `detector '${folder.name}' has no version '${version}'; it has ${known}`,
    );
  }

  #change<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#changing.then(work);
    this.#changing = result.catch(() => undefined);
    return result;
  }
}

/** Names that a refusal lists. */
const listedNames = 10;

function keyOf(name: string, version: string): string {
  return `${name}/${version}`;
}

function asRefused(error: unknown): never {
  if (!(error instanceof DetectorError)) throw error;
  throw new RepositoryError('refused-detector', error.message);
}

/** Does what writes into the folder of detectors. @throws RepositoryError `read-only` where that is not allowed. */
async function writing<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
    if (code !== 'EACCES' && code !== 'EROFS' && code !== 'EPERM') throw error;
    throw new RepositoryError(
      'read-only',
      'the folder of detectors cannot be written by the service; name one that can with --detectors',
    );
  }
}
