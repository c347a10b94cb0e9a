/** Detector versions in memory, and the self-test results of all versions that were ever loaded. */
import { LRUCache } from 'lru-cache';
import limitConcurrency from 'p-limit';
import {
  DetectorError,
  type LoadedDetector,
  readDetector,
  type UnverifiedDetector,
  type VersionFolder,
  withoutSelfTest,
} from '../detector/index.js';
import { type ScoringEngine, verify } from '../scoring/index.js';
import { exists } from './folders.js';

/** Versions that are read at the same time. Reading many at once would hold the event loop, and is no faster. */
const mostReads = 2;

export interface RepositoryLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

/** Whether a version has passed its self-test here, or why it is refused. */
export type Finding = { readonly passed: true } | { readonly passed: false; readonly reason: string };

export class VersionLoader {
  readonly #findings = new Map<string, Finding>();
  /** Evicts the least recently used version, which is read again when it is needed. */
  readonly #memory: LRUCache<string, LoadedDetector>;
  /** Being read. A version takes a place in memory only once it has been read. */
  readonly #reading = new Map<string, Promise<LoadedDetector>>();
  readonly #limited = limitConcurrency(mostReads);

  constructor(
    private readonly engine: ScoringEngine,
    private readonly experts: readonly string[],
    private readonly maxLoaded: number,
    private readonly log: RepositoryLog,
  ) {
    this.#memory = new LRUCache({
      max: maxLoaded,
      dispose: (detector, _key, reason) => {
        if (reason !== 'set') void engine.release(detector).catch(() => undefined);
      },
    });
  }

  /** Versions in memory. */
  get size(): number {
    return this.#memory.size;
  }

  /** Whether one more version has room without evicting another. */
  get hasRoom(): boolean {
    return this.size < this.maxLoaded;
  }

  isLoaded(name: string, version: string): boolean {
    return this.#memory.has(keyOf(name, version));
  }

  /** Returns undefined for a version that was never read here. */
  finding(name: string, version: string): Finding | undefined {
    return this.#findings.get(keyOf(name, version));
  }

  /**
   * Returns a version from memory, or reads it; the first time it runs its self-test.
   * @throws DetectorError if it cannot be read or does not pass.
   */
  async load(name: string, version: VersionFolder): Promise<LoadedDetector> {
    const key = keyOf(name, version.version);
    const loaded = this.#memory.get(key);
    if (loaded) return loaded;
    const known = this.#reading.get(key);
    if (known) return known;
    const reading = this.#read(name, version);
    this.#reading.set(key, reading);
    try {
      const detector = await reading;
      // It may have been unloaded in the meantime.
      if (this.#reading.get(key) === reading) this.#memory.set(key, detector);
      return detector;
    } finally {
      if (this.#reading.get(key) === reading) this.#reading.delete(key);
    }
  }

  /** Runs the self-test of a version without keeping it in memory. @throws DetectorError if it does not pass. */
  async selfTest(name: string, version: VersionFolder): Promise<void> {
    await this.engine.release(await this.#read(name, version));
  }

  /** Adds a version that was read elsewhere, after its self-test. @throws DetectorError if it does not pass. */
  async addVerified(name: string, read: UnverifiedDetector): Promise<void> {
    const key = keyOf(name, read.version);
    if (this.#findings.get(key)?.passed) return;
    this.#memory.set(key, await this.#verify(name, read));
  }

  /** Reads a version in memory again after its files have changed. If damaged, it is reported and still serves. */
  async recheck(name: string, { version, folder }: VersionFolder): Promise<void> {
    if (!this.isLoaded(name, version)) return;
    try {
      await this.#limited(() => readDetector(folder, this.experts));
      this.#findings.set(keyOf(name, version), { passed: true });
    } catch (error) {
      if (!(error instanceof DetectorError)) throw error;
      // A version that was removed is not damaged.
      if (!(await exists(folder))) return;
      this.#refuse(name, version, `${error.message}; it still serves from memory`);
    }
  }

  /** Removes a version from memory. */
  unload(name: string, version: string): void {
    const key = keyOf(name, version);
    this.#reading.delete(key);
    this.#memory.delete(key);
  }

  /** Forgets a version that no longer exists. */
  forget(name: string, version: string): void {
    this.unload(name, version);
    this.#findings.delete(keyOf(name, version));
  }

  async #read(name: string, { version, folder }: VersionFolder): Promise<LoadedDetector> {
    try {
      const read = await this.#limited(() => readDetector(folder, this.experts));
      if (read.version !== version) {
        throw new DetectorError(`${folder} has changed: it is now version ${read.version}`);
      }
      return this.finding(name, version)?.passed ? withoutSelfTest(read) : await this.#verify(name, read);
    } catch (error) {
      if (error instanceof DetectorError) this.#refuse(name, version, error.message);
      throw error;
    }
  }

  async #verify(name: string, read: UnverifiedDetector): Promise<LoadedDetector> {
    // The self-test uses the sessions that will serve the detector.
    await this.engine.warmUp(read);
    const { detector, report } = await verify(this.engine, read).catch(async (error: unknown) => {
      await this.engine.release(read);
      throw error;
    });
    this.#findings.set(keyOf(name, read.version), { passed: true });
    this.log.info({ detector: name, version: read.version, ...report }, 'detector passed its self-test');
    return detector;
  }

  #refuse(name: string, version: string, reason: string): void {
    this.#findings.set(keyOf(name, version), { passed: false, reason });
    this.log.error({ detector: name, version, reason }, 'detector refused');
  }
}

function keyOf(name: string, version: string): string {
  return `${name}/${version}`;
}
