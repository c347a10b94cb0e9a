/** Chooses the version of each detector that serves, from the folder on disk and the self-tests. */
import { DetectorError, type DetectorVersions, readVersions, type VersionFolder } from '../detector/index.js';
import { RepositoryError } from './errors.js';
import type { RepositoryLog, VersionLoader } from './loader.js';
import { type DetectorStatus, type Entry, listNames, statusOf } from './view.js';

export class ServingVersions {
  readonly #entries = new Map<string, Entry>();

  /**
   * @param root folder of detectors.
   * @param onRetired called with the name of a detector that no longer exists.
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
      `there is no detector '${name}'; available: ${listNames([...this.#entries.keys()])}`,
    );
  }

  /** @throws RepositoryError `unknown-version`, listing the known ones. */
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
   * Returns the version that was current before, and the history from it on.
   * @throws RepositoryError `conflict` if there is none.
   */
  versionBefore(name: string): { readonly before: VersionFolder; readonly history: readonly string[] } {
    const { folder, current } = this.entry(name);
    const { history, versions } = folder;
    // If the current version is not in the history, the first entry came before it.
    const earlier = history.slice(history.indexOf(current?.version ?? '') + 1);
    const before = earlier
      .flatMap((version) => versions.find((known) => known.version === version) ?? [])
      .find(({ version }) => this.loader.finding(name, version)?.passed !== false);
    if (before) return { before, history: earlier.slice(earlier.indexOf(before.version)) };
    throw new RepositoryError(
      'conflict',
      `detector '${name}' has no version to roll back to: none was current before; activate one by name`,
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
    for (const reason of folder.problems) this.log.error({ detector: name, reason }, 'detector refused');
    const current = await this.#currentOf(folder, before?.current, verify);
    const kept = new Set([...folder.versions, ...(current ? [current] : [])].map(({ version }) => version));
    this.#forget(name, before?.folder.versions.filter(({ version }) => !kept.has(version)) ?? []);
    this.#entries.set(name, { folder, current, available: before?.available ?? true });
    if (current?.version !== before?.current?.version) {
      this.log.info({ detector: name, version: current?.version }, 'detector serves a new version');
    }
  }

  /**
   * Returns the version to serve: the first one in the history that passes, otherwise the one that serves now.
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
      const sound = await this.loader.load(name, version).catch((error: Error) => {
        // The loader has told what is wrong with a detector. Anything else would stay unknown.
        if (!(error instanceof DetectorError)) {
          const { version: failed } = version;
          this.log.error({ detector: name, version: failed, reason: error.message }, 'detector not verified');
        }
        return undefined;
      });
      if (sound) return version;
    }
    // If its replacement is refused, a version still serves from memory.
    return served && this.loader.isLoaded(name, served.version) ? served : undefined;
  }

  #forget(name: string, versions: readonly VersionFolder[]): void {
    for (const { version } of versions) this.loader.forget(name, version);
  }
}
