/**
 * The detectors of a running service. The folder on disk is authoritative; memory holds the recently used ones. A
 * version serves once it has passed its self-test; until then, and if it fails, the previous version serves. Running
 * requests keep the version they started with.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { DetectorError, type LoadedDetector, photosFile } from '../detector/index.js';
import type { ScoringEngine } from '../scoring/index.js';
import { RepositoryError, rethrowAsRefused, withWriteErrors } from './errors.js';
import { dropUnusedPhotos, namesIn, recover, signatureOf, writeHistory } from './folders.js';
import { type RepositoryLog, VersionLoader } from './loader.js';
import { ServingVersions } from './serving-versions.js';
import { VersionWriter } from './version-writer.js';
import type { DetectorStatus } from './view.js';

export interface RepositoryOptions {
  /** Folder whose subfolders are detectors. */
  readonly detectors: string;
  /** Folders of experts, in addition to that of the package. */
  readonly experts: readonly string[];
  /** Versions in memory; others are read again when they are used. */
  readonly maxLoaded?: number;
  /** The bucket whose copy the folder is: then it cannot be changed here. */
  readonly bucket?: string | undefined;
}

export const defaultMaxLoaded = 64;

export class DetectorRepository {
  readonly #loader: VersionLoader;
  readonly #serving: ServingVersions;
  readonly #writer: VersionWriter;
  /** Changes run one after another. */
  #changing: Promise<unknown> = Promise.resolve();
  #onRetired: (name: string) => void = () => {};

  private constructor(
    engine: ScoringEngine,
    private readonly options: RepositoryOptions,
    log: RepositoryLog,
  ) {
    this.#loader = new VersionLoader(engine, options.experts, options.maxLoaded ?? defaultMaxLoaded, log);
    const onRetired = (name: string): void => this.#onRetired(name);
    this.#serving = new ServingVersions(options.detectors, this.#loader, log, onRetired);
    this.#writer = new VersionWriter(options, this.#loader, this.#serving, log, (work) => this.#change(work));
  }

  /**
   * Reads all manifests, and verifies and warms up as many detectors as fit in memory. The folder may be empty.
   * @throws DetectorError if the folder cannot be read, or all its detectors are refused; the signal's reason.
   */
  static async open(
    engine: ScoringEngine,
    options: RepositoryOptions,
    log: RepositoryLog,
    signal?: AbortSignal,
  ): Promise<DetectorRepository> {
    const { detectors } = options;
    const names = await namesIn(detectors);
    await recover(detectors).catch((error: Error) => {
      log.warn({ reason: error.message }, 'what interrupted uploads have left cannot be removed');
    });
    const repository = new DetectorRepository(engine, options, log);
    for (const name of names) {
      signal?.throwIfAborted();
      await repository.#serving.refresh(name, repository.#loader.hasRoom);
    }
    if (repository.size > 0) return repository;
    const why = repository
      .list()
      .map(({ name, reasons }) => `${name}: ${reasons.join(', ')}`)
      .join('; ');
    if (why !== '') throw new DetectorError(`there is no detector to serve in ${detectors} (${why})`);
    log.warn({ detectors }, 'there are no detectors yet: copy one into the folder, or upload one');
    return repository;
  }

  /** Calls the listener with the name of every detector that is retired. */
  observeRetired(listener: (name: string) => void): void {
    this.#onRetired = listener;
  }

  /** Detectors that serve. */
  get size(): number {
    return this.#serving.size;
  }

  /** Detectors that are refused, or have a refused version. */
  get refused(): number {
    return this.list().filter(({ reasons }) => reasons.length > 0).length;
  }

  /** Detectors whose current version has not run its self-test yet. */
  unverified(): string[] {
    return this.#serving.unverified();
  }

  /** Versions in memory. */
  get loaded(): number {
    return this.#loader.size;
  }

  list(): DetectorStatus[] {
    return this.#serving.names.map((name) => this.status(name));
  }

  /** @throws RepositoryError `unknown-detector`, listing the known ones. */
  status(name: string): DetectorStatus {
    return this.#serving.status(name);
  }

  /**
   * Returns a detector to score with.
   * @param version by default the current one.
   * @throws RepositoryError `unknown-detector`, `unknown-version`.
   */
  async acquire(name: string, version?: string): Promise<LoadedDetector> {
    const entry = this.#serving.entry(name);
    if (!entry.available) {
      throw new RepositoryError('unknown-detector', `detector '${name}' is unloaded; load it first`);
    }
    try {
      if (version !== undefined) return await this.#loader.load(name, this.#serving.version(entry, version));
      if (entry.current) return await this.#loader.load(name, entry.current);
    } catch (error) {
      if (!(error instanceof DetectorError)) throw error;
      // A version that fails only now is replaced by the previous version, if there is one.
      await this.refresh(name);
      const { current } = this.#serving.entry(name);
      if (version === undefined && current && current.version !== entry.current?.version) {
        return this.#loader.load(name, current);
      }
    }
    const { reasons } = this.status(name);
    throw new RepositoryError('unknown-detector', `detector '${name}' was refused: ${reasons.join('; ')}`);
  }

  /** Runs the self-test of the current version, unless it has run. If it fails, the previous version serves. */
  async verify(name: string): Promise<void> {
    const current = this.#serving.find(name)?.current;
    if (!current || this.#loader.finding(name, current.version)) return;
    try {
      await this.#loader.selfTest(name, current);
    } catch (error) {
      if (!(error instanceof DetectorError)) throw error;
      await this.refresh(name);
    }
  }

  /**
   * Adds an uploaded version, see {@link VersionWriter.add}.
   * @throws RepositoryError; what served before still serves.
   */
  async add(name: string, archive: Readable, activate: boolean): ReturnType<VersionWriter['add']> {
    this.checkWritable();
    return this.#writer.add(name, archive, activate);
  }

  /** @throws RepositoryError `read-only` if the detectors come from a bucket. */
  checkWritable(): void {
    const { bucket } = this.options;
    if (bucket === undefined) return;
    throw new RepositoryError('read-only', `the detectors are those of ${bucket}; change them there`);
  }

  /**
   * Adds a detector that was made here, see {@link VersionWriter.addMade}.
   * @throws RepositoryError; what served before still serves.
   */
  async addMade(name: string, from: string): Promise<Pick<LoadedDetector, 'version' | 'manifest'>> {
    this.checkWritable();
    return this.#writer.addMade(name, from);
  }

  /**
   * Adds a version like the current one with a threshold set by hand, see {@link VersionWriter.setThreshold}.
   * @throws CalibrationError; RepositoryError; what served before still serves.
   */
  async setThreshold(name: string, threshold: number): ReturnType<VersionWriter['setThreshold']> {
    this.checkWritable();
    return this.#writer.setThreshold(name, threshold);
  }

  /** Makes a version the current one. @throws RepositoryError if there is no such version, or it is refused. */
  async activate(name: string, version: string): Promise<void> {
    this.checkWritable();
    await this.#change(async () => {
      const wanted = this.#serving.version(this.#serving.entry(name), version);
      await this.#loader.load(name, wanted).catch((error) => rethrowAsRefused(error));
      await this.#writer.setCurrent(name, version);
      await this.#serving.refresh(name, true);
    });
  }

  /**
   * Rolls back to the version that was current before.
   * @returns the version that serves now.
   */
  async rollBack(name: string): Promise<string> {
    this.checkWritable();
    return this.#change(async () => {
      const { before, history } = this.#serving.versionBefore(name);
      await this.#loader.load(name, before).catch((error) => rethrowAsRefused(error));
      await withWriteErrors(() => writeHistory(this.options.detectors, name, history));
      await this.#serving.refresh(name, true);
      return before.version;
    });
  }

  /** Deletes a version, or a detector with all its versions. */
  async retire(name: string, version?: string): Promise<void> {
    this.checkWritable();
    await this.#change(async () => {
      const entry = this.#serving.entry(name);
      const { detectors } = this.options;
      if (version === undefined) {
        await withWriteErrors(() => rm(join(detectors, name), { recursive: true, force: true }));
        await withWriteErrors(() => rm(photosFile(join(detectors, name)), { force: true }));
      } else {
        const { folder } = this.#serving.version(entry, version);
        if (entry.current?.version === version) {
          throw new RepositoryError(
            'conflict',
            `version ${version} of '${name}' is the current one; activate another or roll back first, or retire the whole detector`,
          );
        }
        await withWriteErrors(() => rm(folder, { recursive: true, force: true }));
        await withWriteErrors(() => dropUnusedPhotos(detectors, name));
        const { history } = entry.folder;
        const left = history.filter((other) => other !== version);
        if (left.length < history.length) await withWriteErrors(() => writeHistory(detectors, name, left));
      }
      await this.#serving.refresh(name, true);
    });
  }

  /** Reads a detector into memory, and lets it serve again if it was unloaded. */
  async load(name: string): Promise<void> {
    this.#serving.entry(name).available = true;
    await this.acquire(name);
  }

  /** Removes a detector from memory; it does not serve until it is loaded again. */
  unload(name: string): void {
    const entry = this.#serving.entry(name);
    entry.available = false;
    for (const { version } of entry.folder.versions) this.#loader.unload(name, version);
  }

  /** Names of the known detectors and of those in the folder now. */
  async listNames(): Promise<string[]> {
    return [...new Set([...this.#serving.names, ...(await namesIn(this.options.detectors))])];
  }

  signature(name: string): Promise<string> {
    return signatureOf(this.options.detectors, name);
  }

  /** Applies what has changed in the folder of a detector. */
  async refresh(name: string): Promise<void> {
    await this.#change(async () => {
      for (const version of this.#serving.find(name)?.folder.versions ?? []) {
        await this.#loader.recheck(name, version);
      }
      await this.#serving.refresh(name, true);
    });
  }

  #change<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#changing.then(work);
    this.#changing = result.catch(() => undefined);
    return result;
  }
}
