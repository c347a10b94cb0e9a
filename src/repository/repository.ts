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
  type DetectorVersions,
  type LoadedDetector,
  readDetector,
  readVersions,
  type ScoringEngine,
  type VersionFolder,
} from '../detector/index.js';
import { unpackDetector } from './archive.js';
import { asRefused, RepositoryError, writing } from './errors.js';
import {
  addVersion,
  detectorName,
  incomingFolder,
  namesIn,
  recover,
  signatureOf,
  writeHistory,
} from './folders.js';
import { type RepositoryLog, VersionLoader } from './loader.js';

export interface RepositoryOptions {
  /** Folder whose subfolders are detectors. */
  readonly detectors: string;
  /** Folders of experts, besides that of the package. */
  readonly experts: readonly string[];
  /** Versions in memory; others are read again when they are asked for. */
  readonly maxLoaded?: number;
}

export const defaultMaxLoaded = 64;

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
  readonly folder: DetectorVersions;
  /** The version that serves. */
  readonly current: VersionFolder | undefined;
  available: boolean;
}

export class DetectorRepository {
  readonly #entries = new Map<string, Entry>();
  readonly #loader: VersionLoader;
  /** Changes come one after another. */
  #changing: Promise<unknown> = Promise.resolve();
  #onRetired: (name: string) => void = () => {};

  private constructor(
    engine: ScoringEngine,
    private readonly options: RepositoryOptions,
    private readonly log: RepositoryLog,
  ) {
    this.#loader = new VersionLoader(engine, options.experts, options.maxLoaded ?? defaultMaxLoaded, log);
  }

  /**
   * Reads all manifests, and verifies and warms up as many detectors as stay in memory. An empty folder waits for what
   * comes.
   * @throws DetectorError when the folder cannot be read, or all that it holds is refused; the signal's reason.
   */
  static async open(
    engine: ScoringEngine,
    options: RepositoryOptions,
    log: RepositoryLog,
    signal?: AbortSignal,
  ): Promise<DetectorRepository> {
    const { detectors } = options;
    // Nothing to put right where nothing may be written.
    await recover(detectors).catch(() => undefined);
    const names = await namesIn(detectors);
    const repository = new DetectorRepository(engine, options, log);
    for (const name of names) {
      signal?.throwIfAborted();
      await repository.#refresh(name, repository.#loader.hasRoom);
    }
    if (repository.size > 0) return repository;
    const why = repository.list().map(({ name, reasons }) => `${name}: ${reasons.join(', ')}`);
    if (why.length > 0) {
      throw new DetectorError(`there is no detector to serve in ${detectors} (${why.join('; ')})`);
    }
    log.warn({ detectors }, 'there are no detectors yet: put one into the folder, or upload one');
    return repository;
  }

  /** Tells of every detector that is there no longer. */
  observeRetired(listener: (name: string) => void): void {
    this.#onRetired = listener;
  }

  /** Detectors that serve. */
  get size(): number {
    let count = 0;
    for (const { current } of this.#entries.values()) if (current) count++;
    return count;
  }

  /** Detectors that are refused, or some of whose folders are. */
  get refused(): number {
    return this.list().filter(({ reasons }) => reasons.length > 0).length;
  }

  /** Detectors whose current version has not been put to its self-test yet. */
  unverified(): string[] {
    return [...this.#entries].flatMap(([name, { current }]) =>
      current && !this.#loader.finding(name, current.version) ? [name] : [],
    );
  }

  /** Versions in memory. */
  get loaded(): number {
    return this.#loader.size;
  }

  list(): DetectorStatus[] {
    return [...this.#entries.keys()].map((name) => this.status(name));
  }

  /** @throws RepositoryError `unknown-detector` naming those there are. */
  status(name: string): DetectorStatus {
    const { folder, current, available } = this.#entry(name);
    const versions = folder.versions.map((version): VersionStatus => {
      const finding = this.#loader.finding(name, version.version);
      return {
        ...version,
        state: finding === undefined ? 'unverified' : finding.passed ? 'verified' : 'refused',
        ...(finding && !finding.passed ? { reason: this.#shown(finding.reason) } : {}),
        current: version.version === current?.version,
        loaded: this.#loader.isLoaded(name, version.version),
      };
    });
    const reasons = [
      ...folder.faults.map((fault) => this.#shown(fault)),
      ...versions.flatMap(({ reason }) => reason ?? []),
    ];
    return { name, current, available, versions, reasons };
  }

  /** A reason as clients are told it, who need not know where the folder lies. */
  #shown(reason: string): string {
    return reason.replaceAll(join(this.options.detectors, '/'), '');
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
      if (version !== undefined) return await this.#loader.load(name, this.#version(entry, version));
      if (entry.current) return await this.#loader.load(name, entry.current);
    } catch (error) {
      if (!(error instanceof DetectorError)) throw error;
      // One that is found wanting only now gives way to the version before it, if there is one.
      await this.refresh(name);
      const { current } = this.#entry(name);
      if (version === undefined && current && current.version !== entry.current?.version) {
        return this.#loader.load(name, current);
      }
    }
    const { reasons } = this.status(name);
    throw new RepositoryError('unknown-detector', `detector '${name}' was refused: ${reasons.join('; ')}`);
  }

  /** Puts the current version to its self-test, if it was not yet; one that does not pass gives way to the one before. */
  async verify(name: string): Promise<void> {
    const current = this.#entries.get(name)?.current;
    if (!current || this.#loader.finding(name, current.version)) return;
    try {
      await this.#loader.examine(name, current);
    } catch (error) {
      if (!(error instanceof DetectorError)) throw error;
      await this.refresh(name);
    }
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
      const read = await readDetector(incoming, experts).catch((error) => asRefused(error, incoming));
      const { version } = read;
      return await this.#change(async () => {
        await this.#loader.take(name, read).catch((error) => asRefused(error));
        const before = this.#entries.get(name);
        const added = !before?.folder.versions.some((known) => known.version === version);
        if (added) await this.#place(name, incoming, version, before);
        if (activate) await this.#prefer(name, version);
        else if (before?.current) await this.#prefer(name, before.current.version);
        await this.#refresh(name, true);
        this.log.info({ detector: name, version, added }, 'detector uploaded');
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
      await this.#loader.load(name, wanted).catch((error) => asRefused(error));
      await this.#prefer(name, version);
      await this.#refresh(name, true);
    });
  }

  /**
   * Goes back to the version that was current before; one that never was is not gone back to.
   * @returns the version that serves now.
   */
  async rollBack(name: string): Promise<string> {
    return this.#change(async () => {
      const { folder, current } = this.#entry(name);
      const { history, versions } = folder;
      // Where the current one is none of them, the first of them is the one before it.
      const earlier = history.slice(history.indexOf(current?.version ?? '') + 1);
      const before = earlier
        .flatMap((version) => versions.find((known) => known.version === version) ?? [])
        .find(({ version }) => this.#loader.finding(name, version)?.passed !== false);
      if (!before) {
        throw new RepositoryError(
          'conflict',
          `detector '${name}' has no version to go back to: none was current before; activate one by its name`,
        );
      }
      await this.#loader.load(name, before).catch((error) => asRefused(error));
      const left = earlier.slice(earlier.indexOf(before.version));
      await writing(() => writeHistory(this.options.detectors, name, left));
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
            `version ${version} of '${name}' serves; activate another one or roll back first, or retire the whole detector`,
          );
        }
        await writing(() => rm(folder, { recursive: true, force: true }));
        const { history } = entry.folder;
        const left = history.filter((other) => other !== version);
        if (left.length < history.length) await writing(() => writeHistory(detectors, name, left));
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
    for (const { version } of entry.folder.versions) this.#loader.unload(name, version);
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
    await this.#change(async () => {
      for (const version of this.#entries.get(name)?.folder.versions ?? []) {
        await this.#loader.check(name, version);
      }
      await this.#refresh(name, true);
    });
  }

  /** @param verify whether the current version is put to its self-test now, or when it is first used. */
  async #refresh(name: string, verify: boolean): Promise<void> {
    const folder = await readVersions(this.options.detectors, name);
    const before = this.#entries.get(name);
    if (!folder) {
      this.#entries.delete(name);
      if (!before) return;
      this.#forget(name, before.folder.versions);
      this.log.info({ detector: name }, 'detector retired');
      this.#onRetired(name);
      return;
    }
    for (const reason of folder.faults) this.log.error({ detector: name, reason }, 'detector refused');
    const current = await this.#currentOf(folder, before?.current, verify);
    const kept = new Set([...folder.versions, ...(current ? [current] : [])].map(({ version }) => version));
    this.#forget(name, before?.folder.versions.filter(({ version }) => !kept.has(version)) ?? []);
    this.#entries.set(name, { folder, current, available: before?.available ?? true });
    if (current?.version !== before?.current?.version) {
      this.log.info({ detector: name, version: current?.version }, 'detector serves');
    }
  }

  /**
   * The version to serve: the first of those that are or were current, and is sound; else the one that serves.
   * @param verify whether it has to have passed its self-test.
   */
  async #currentOf(
    { name, versions, history }: DetectorVersions,
    served: VersionFolder | undefined,
    verify: boolean,
  ): Promise<VersionFolder | undefined> {
    const wanted = [...history, ...(served ? [served.version] : [])];
    const found = wanted.flatMap((version) => versions.find((known) => known.version === version) ?? []);
    if (!verify) return found[0];
    for (const version of found) {
      const sound = await this.#loader.load(name, version).catch(() => undefined);
      if (sound) return version;
    }
    // Where what came in its place is refused, a version serves on from memory.
    return served && this.#loader.isLoaded(name, served.version) ? served : undefined;
  }

  #forget(name: string, versions: readonly VersionFolder[]): void {
    for (const { version } of versions) this.#loader.forget(name, version);
  }

  async #place(name: string, from: string, version: string, before: Entry | undefined): Promise<void> {
    const { detectors } = this.options;
    const [only] = before?.folder.versions ?? [];
    const alone = only?.folder === join(detectors, name) ? only.version : undefined;
    await writing(() => addVersion(detectors, name, from, version, alone));
  }

  async #prefer(name: string, version: string): Promise<void> {
    const { detectors } = this.options;
    const folder = await readVersions(detectors, name);
    // A detector that is a folder by itself has nothing to choose from.
    if (!folder || folder.versions[0]?.folder === join(detectors, name)) return;
    const serving = this.#entries.get(name)?.current?.version;
    // One that was there before anybody chose is what came before.
    const earlier = this.#entries.get(name)?.folder.history ?? [];
    const history = [version, ...(serving === undefined ? [] : [serving]), ...earlier];
    await writing(() => writeHistory(detectors, name, [...new Set(history)]));
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
