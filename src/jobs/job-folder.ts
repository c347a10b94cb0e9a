/** A job on disk: a folder with its record, its photos and, once it is made, its detector. */
import { createHash } from 'node:crypto';
import { readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Value } from 'typebox/value';
import { makeFolder } from '../files/folders.js';
import { type Lock, takeLock } from '../files/lock.js';
import { replaceFile } from '../files/replace-file.js';
import {
  defaultImageLimits,
  formatOf,
  ImageError,
  type ImageLimits,
  inspectImage,
  parsePolygons,
  regionOfMask,
} from '../imaging/index.js';
import { type JobPhoto, type JobRecord, jobRecordSchema } from './job.js';
import { keptName } from './photo-names.js';

const recordFile = 'job.json';

export class JobFolder {
  constructor(readonly path: string) {}

  /** Where the photos are; named as users name them. */
  get photos(): string {
    return join(this.path, 'photos');
  }

  /** Where its detector is made. */
  get detector(): string {
    return join(this.path, 'detector');
  }

  /** @throws Error if the file is damaged. */
  async read(): Promise<JobRecord> {
    const record: unknown = JSON.parse(await readFile(join(this.path, recordFile), 'utf8'));
    if (Value.Check(jobRecordSchema, record)) return record as JobRecord;
    throw new Error(`${join(this.path, recordFile)} is damaged`);
  }

  /** @throws LockedError if another service has the job. */
  lock(): Promise<Lock> {
    return takeLock(join(this.path, 'owner'));
  }

  /** Writes a new job, as this service's. */
  async create(record: JobRecord): Promise<Lock> {
    const lock = await this.lock();
    await this.write(record).catch(async (error: unknown) => {
      await lock.release();
      throw error;
    });
    return lock;
  }

  async write(record: JobRecord): Promise<void> {
    await makeFolder(this.path);
    await replaceFile(join(this.path, recordFile), `${JSON.stringify(record, null, 1)}\n`);
  }

  /**
   * Keeps an uploaded photo, if it is one and is new.
   * @param sent its name, as the client calls it.
   * @param known the photos that are kept already.
   */
  async addPhoto(
    sent: string | undefined,
    bytes: Uint8Array,
    known: readonly JobPhoto[],
    limits: ImageLimits = defaultImageLimits,
  ): Promise<JobPhoto> {
    const named = sent ?? 'photo';
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const same = known.find((photo) => photo.sha256 === sha256);
    if (same) return { name: named, state: 'copy', reason: `it is a copy of ${same.name}` };
    try {
      const { width, height } = await inspectImage(bytes, limits);
      const taken = new Set(known.map((photo) => photo.name.toLowerCase()));
      const name = keptName(sent, formatOf(bytes) ?? 'jpeg', taken);
      await makeFolder(this.photos);
      await writeFile(join(this.photos, name), bytes, { flag: 'wx' });
      return { name, state: 'used', width, height, sha256 };
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      return { name: named, state: 'unusable', reason: error.message };
    }
  }

  /** Keeps the region of interest: a mask, or polygons as JSON. @throws ImageError if it is neither. */
  async addRegion(bytes: Uint8Array): Promise<void> {
    const isMask = formatOf(bytes) !== undefined;
    if (isMask) await regionOfMask(bytes);
    // They are drawn where the detector is made: the service itself decodes nothing but photos.
    else parsePolygons(Buffer.from(bytes).toString());
    await makeFolder(this.path);
    await rm(join(this.path, isMask ? 'region.json' : 'region.png'), { force: true });
    await writeFile(join(this.path, isMask ? 'region.png' : 'region.json'), bytes);
  }

  /** Returns the file with the region of interest, if there is one. */
  async region(): Promise<string | undefined> {
    const names = await readdir(this.path);
    const name = names.find((each) => each === 'region.png' || each === 'region.json');
    return name === undefined ? undefined : join(this.path, name);
  }

  /** Returns the bytes of its photos. */
  async bytes(): Promise<number> {
    const names = await readdir(this.photos).catch(() => []);
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(this.photos, name))).size));
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  /** Removes what an interrupted run left of its detector. */
  async clearDetector(): Promise<void> {
    const name = basename(this.detector);
    for (const file of await readdir(this.path)) {
      if (file.startsWith(name)) await rm(join(this.path, file), { recursive: true, force: true });
    }
  }

  /** Removes what is not needed any more when a job has ended: all but its record. */
  async clear(): Promise<void> {
    for (const name of await readdir(this.path).catch(() => [])) {
      if (name !== recordFile) await rm(join(this.path, name), { recursive: true, force: true });
    }
  }

  async remove(): Promise<void> {
    // In one step: a restart in between finds no half a job.
    const gone = `${this.path}.gone`;
    await rename(this.path, gone).catch(() => undefined);
    await rm(gone, { recursive: true, force: true });
  }
}
