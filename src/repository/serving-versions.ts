/** Which version of each detector serves: the states of a repository, as they follow from the folder and the self-tests. */
import { type DetectorVersions, readVersions, type VersionFolder } from '../detector/index.js';
import { RepositoryError } from './errors.js';
import type { RepositoryLog, VersionLoader } from './loader.js';
import { type DetectorStatus, type Entry, listed, statusOf } from './view.js';

export class ServingVersions {
  readonly #entries = new Map<string, Entry>();

  /**
   * @param root folder of detectors.
   * @param onRetired called with the name of a detector that does not exist any more.
   */
  constructor(
    private readonly root: string,
    private readonly loader: VersionLoader,
    private readonly log: RepositoryLog,
    private readonly onRetired: (name: string) => void,
  ) {}

  get names(): string[] {
    return [...this.#entries.keys()];
  }

  /** Detectors that serve. */
  get size(): number {
    let count = 0;
    for (const { current } of this.#entries.values()) if (current) count++;
    return count;
  }

  /** Detectors whose current version has not run its self-test yet. */
  unverified(): string[] {
    return [...this.#entries].flatMap(([name, { current }]) =>
      current && !this.loader.finding(name, current.version) ? [name] : [],
    );
  }

  /** @throws RepositoryError `unknown-detector`, listing the known ones. */
  status(name: string): DetectorStatus {
    return statusOf(name, this.entry(name), this.loader, this.root);
  }

  find(name: string): Entry | undefined {
    return this.#entries.get(name);
  }

  /** @throws RepositoryError `unknown-detector`, listing the known ones. */
  entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry) return entry;
    throw new RepositoryError(
      'unknown-detector',
      `there is no detector '${name}'; there are ${listed([...this.#entries.keys()])}`,
    );
  }

  /** @throws RepositoryError `unknown-version`, listing those there are. */
  version({ folder }: Entry, version: string): VersionFolder {
    const found = folder.versions.find((known) => known.version === version);
    if (found) return found;
    const known = folder.versions.map((other) => other.version).join(', ');
    throw new RepositoryError(
      'unknown-version',
      `detector '${folder.name}' has no version '${version}'; it has ${known}`,
    );
  }

  /**
   * Reads the folder of a detector, and chooses the version to serve.
   * @param verify whether the current version runs its self-test now, or when it is first used.
   */
  async refresh(name: string, verify: boolean): Promise<void> {
    const folder = await readVersions(this.root, name);
    const before = this.#entries.get(name);
    if (!folder) {
      this.#entries.delete(name);
      if (!before) return;
      this.#forget(name, before.folder.versions);
      this.log.info({ detector: name }, 'detector retired');
      this.onRetired(name);
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
   * Returns the version to serve: the first sound one of those that are or were current; else the one that serves now.
   * @param verify whether it must have passed its self-test.
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
      const sound = await this.loader.load(name, version).catch(() => undefined);
      if (sound) return version;
    }
    // If its replacement is refused, a version still serves from memory.
    return served && this.loader.isLoaded(name, served.version) ? served : undefined;
  }

  #forget(name: string, versions: readonly VersionFolder[]): void {
    for (const { version } of versions) this.loader.forget(name, version);
  }
}
