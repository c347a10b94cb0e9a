/** Adds versions to the folder of a running service: uploaded ones, and copies with another threshold. */
import { randomUUID } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import {
  photosFile,
  readDetector,
  readManifest,
  replaceCalibration,
  type UnverifiedDetector,
  withThreshold,
} from '../detector/index.js';
import { unpackDetector } from './archive.js';
import { RepositoryError, rethrowAsRefused, withWriteErrors } from './errors.js';
import {
  detectorName,
  exists,
  incomingFolder,
  keptPhotos,
  placeVersion,
  setCurrentVersion,
  singleVersion,
} from './folders.js';
import type { RepositoryLog, VersionLoader } from './loader.js';
import type { ServingVersions } from './serving-versions.js';

/** @throws RepositoryError if a detector cannot have this name. */
export function checkName(name: string): void {
  if (detectorName.test(name)) return;
  throw new RepositoryError(
    'refused-detector',
    `'${name}' is not a valid detector name; use at most 100 letters, digits, '.', '_' and '-'`,
  );
}

export class VersionWriter {
  /** @param change runs changes one after another. */
  constructor(
    private readonly options: { readonly detectors: string; readonly experts: readonly string[] },
    private readonly loader: VersionLoader,
    private readonly serving: ServingVersions,
    private readonly log: RepositoryLog,
    private readonly change: <Result>(work: () => Promise<Result>) => Promise<Result>,
  ) {}

  /**
   * Adds an uploaded version: unpacks it, runs its self-test, and only then lets it serve. If its files on disk were
   * damaged, this repairs them.
   * @param archive tar, gzipped or not.
   * @param activate whether it becomes the current one.
   * @returns the version, and whether it is new here.
   * @throws RepositoryError; what served before still serves.
   */
  async add(
    name: string,
    archive: Readable,
    activate: boolean,
  ): Promise<{ readonly version: string; readonly added: boolean }> {
    checkName(name);
    const incoming = await withWriteErrors(() => incomingFolder(this.options.detectors, randomUUID()));
    try {
      await withWriteErrors(() => unpackDetector(archive, incoming));
      const { read, added } = await this.#added(name, incoming, activate, 'detector uploaded');
      return { version: read.version, added };
    } finally {
      await rm(incoming, { recursive: true, force: true });
    }
  }

  /**
   * Adds a detector that was made here, on the same disk, as a version that serves at once; its photos are kept beside it.
   * @param from its folder, which is moved.
   * @returns it.
   * @throws RepositoryError; what served before still serves.
   */
  async addMade(name: string, from: string): Promise<UnverifiedDetector> {
    checkName(name);
    const { read } = await this.#added(name, from, true, 'detector made');
    const photos = photosFile(from);
    if (await exists(photos)) {
      const kept = join(this.options.detectors, name, keptPhotos(read.manifest.data.fingerprint));
      await withWriteErrors(() => rename(photos, kept));
    }
    return read;
  }

  /** Lets a version serve from its own folder, once it has passed its self-test. */
  async #added(
    name: string,
    from: string,
    activate: boolean,
    done: string,
  ): Promise<{ readonly read: UnverifiedDetector; readonly added: boolean }> {
    const read = await readDetector(from, this.options.experts).catch((error) =>
      rethrowAsRefused(error, from),
    );
    const added = await this.change(() => this.#place(name, from, read, activate));
    this.log.info({ detector: name, version: read.version, added }, done);
    return { read, added };
  }

  /**
   * Adds a version like the current one, with a threshold set by hand, and lets it serve.
   * @returns the version, and the false-alarm rate that its threshold promises.
   * @throws CalibrationError; RepositoryError; what served before still serves.
   */
  async setThreshold(
    name: string,
    threshold: number,
  ): Promise<{ readonly version: string; readonly falseAlarmRate: number }> {
    const { detectors, experts } = this.options;
    return this.change(async () => {
      const { current } = this.serving.entry(name);
      if (!current) throw new RepositoryError('conflict', `no version of '${name}' serves`);
      const { manifest } = await readManifest(current.folder);
      const calibration = withThreshold(manifest.calibration, threshold);
      const incoming = await withWriteErrors(() => incomingFolder(detectors, randomUUID()));
      const from = join(incoming, 'changed');
      try {
        const version = await withWriteErrors(() => replaceCalibration(current.folder, calibration, from));
        const read = await readDetector(from, experts).catch((error) => rethrowAsRefused(error, from));
        await this.#place(name, from, read, true);
        this.log.info({ detector: name, version, threshold }, 'threshold set');
        return { version, falseAlarmRate: calibration.falseAlarmRate };
      } finally {
        await rm(incoming, { recursive: true, force: true });
      }
    });
  }

  /**
   * Moves a version from its own folder to its place, once it has passed its self-test.
   * @returns whether it is new here.
   */
  async #place(name: string, from: string, read: UnverifiedDetector, activate: boolean): Promise<boolean> {
    const { detectors } = this.options;
    const { version } = read;
    await this.loader.addVerified(name, read).catch((error) => rethrowAsRefused(error));
    const before = this.serving.find(name);
    const single = await singleVersion(detectors, name, before?.folder.versions);
    // An existing version is replaced: its files may be damaged.
    await withWriteErrors(() => placeVersion(detectors, name, from, version, single));
    if (activate) await this.setCurrent(name, version);
    else if (before?.current) await this.setCurrent(name, before.current.version);
    await this.serving.refresh(name, true);
    return !before?.folder.versions.some((known) => known.version === version);
  }

  async setCurrent(name: string, version: string): Promise<void> {
    const entry = this.serving.find(name);
    const serving = entry?.current?.version;
    // A version that served without being chosen counts as current before.
    const before = [...(serving === undefined ? [] : [serving]), ...(entry?.folder.history ?? [])];
    await withWriteErrors(() => setCurrentVersion(this.options.detectors, name, version, before));
  }
}
