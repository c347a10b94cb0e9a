/** Versions of detectors in memory, and what self-tests have found of those that were ever there. */
import {
  DetectorError,
  type LoadedDetector,
  readDetector,
  type ScoringEngine,
  type UnverifiedDetector,
  type VersionFolder,
  verified,
  withoutSelfTest,
} from '../detector/index.js';
import { exists } from './folders.js';
import { Memory } from './memory.js';

export interface RepositoryLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

/** What is known of a version: it has passed its self-test here, or why it is refused. */
export type Finding = { readonly passed: true } | { readonly passed: false; readonly reason: string };

export class VersionLoader {
  readonly #findings = new Map<string, Finding>();
  readonly #memory: Memory<LoadedDetector>;

  constructor(
    private readonly engine: ScoringEngine,
    private readonly experts: readonly string[],
    private readonly maxLoaded: number,
    private readonly log: RepositoryLog,
  ) {
    this.#memory = new Memory(maxLoaded);
  }

  /** Versions in memory. */
  get size(): number {
    return this.#memory.size;
  }

  /** Whether one more has room without another leaving. */
  get hasRoom(): boolean {
    return this.size < this.maxLoaded;
  }

  isLoaded(name: string, version: string): boolean {
    return this.#memory.has(keyOf(name, version));
  }

  /** Undefined for what was never tried here. */
  finding(name: string, version: string): Finding | undefined {
    return this.#findings.get(keyOf(name, version));
  }

  /**
   * From memory, or from the folder; the first time with its self-test.
   * @throws DetectorError for what cannot be read or does not pass.
   */
  load(name: string, version: VersionFolder): Promise<LoadedDetector> {
    return this.#memory.get(keyOf(name, version.version), () => this.#read(name, version));
  }

  /** Puts a version to its self-test without keeping it in memory. @throws DetectorError for what does not pass. */
  async examine(name: string, version: VersionFolder): Promise<void> {
    await this.engine.release(await this.#read(name, version));
  }

  /** Takes in what was read elsewhere, with its self-test. @throws DetectorError for what does not pass. */
  async take(name: string, read: UnverifiedDetector): Promise<void> {
    const key = keyOf(name, read.version);
    if (this.#findings.get(key)?.passed) return;
    const detector = await this.#verify(name, read);
    this.#memory.forget(key);
    await this.#memory.get(key, async () => detector);
  }

  /** Reads a version in memory again where its files have changed: what is damaged serves on, but is reported. */
  async check(name: string, { version, folder }: VersionFolder): Promise<void> {
    if (!this.isLoaded(name, version)) return;
    try {
      await readDetector(folder, this.experts);
      this.#findings.set(keyOf(name, version), { passed: true });
    } catch (error) {
      if (!(error instanceof DetectorError)) throw error;
      // What was removed is not damaged.
      if (!(await exists(folder))) return;
      this.#refuse(name, version, `${error.message}; it serves on from memory`);
    }
  }

  /** Takes a version out of memory. */
  unload(name: string, version: string): void {
    const forgotten = this.#memory.forget(keyOf(name, version));
    void forgotten?.then((detector) => this.engine.release(detector)).catch(() => undefined);
  }

  /** Forgets a version that is no more. */
  forget(name: string, version: string): void {
    this.unload(name, version);
    this.#findings.delete(keyOf(name, version));
  }

  async #read(name: string, { version, folder }: VersionFolder): Promise<LoadedDetector> {
    try {
      const read = await readDetector(folder, this.experts);
      if (read.version !== version) {
        throw new DetectorError(`${folder} has changed: it is version ${read.version} now`);
      }
      return this.finding(name, version)?.passed ? withoutSelfTest(read) : await this.#verify(name, read);
    } catch (error) {
      if (error instanceof DetectorError) this.#refuse(name, version, error.message);
      throw error;
    }
  }

  async #verify(name: string, read: UnverifiedDetector): Promise<LoadedDetector> {
    // It is put to its test with the sessions that will serve it.
    await this.engine.warmUp(read);
    const { detector, report } = await verified(this.engine, read).catch(async (error: unknown) => {
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
