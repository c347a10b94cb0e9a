/** The good photos that detectors were made from, where they are kept: one of them is shown beside a result. */
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { LRUCache } from 'lru-cache';
import { DatasetError } from '../datasets/index.js';
import {
  fingerprintOf,
  type LearnedImages,
  type LoadedDetector,
  readLearnedImages,
} from '../detector/index.js';
import { type Photo, readKeptPhotos } from '../distillation/linear/photos.js';
import { describeError } from '../files/explain.js';
import { inOwnShape, type PictureSize } from '../imaging/index.js';
import { ProblemError } from './plugins/problems.js';

/** A version, and where it is. */
interface Version {
  readonly detector: LoadedDetector;
  readonly folder: string;
}

interface KeptOfVersion {
  /** By their {@link fingerprintOf}. */
  readonly photos: ReadonlyMap<string, Photo>;
  readonly learned: LearnedImages;
  /** Where they are, and what changes with that file. */
  readonly file: string;
  readonly stamp: string | undefined;
}

/** Versions whose list of photos stays in memory, and how long: photos may be added or removed. */
const remembered = { max: 32, ttl: 60_000 };

export class GoodPhotos {
  readonly #known = new LRUCache<string, Promise<KeptOfVersion | undefined>>(remembered);

  /** Returns how many photos of a version are kept. */
  async count(version: Version): Promise<number> {
    return (await this.#kept(version))?.photos.size ?? 0;
  }

  /**
   * Finds the photo that is most like an image.
   * @param thumbnail of the image, as the detector sees it.
   * @param shape of the image, which the picture takes on if images are stretched.
   * @returns the name of the photo, and its picture as PNG.
   * @throws ProblemError `no-photos` if none are kept.
   */
  async nearest(
    version: Version,
    thumbnail: Uint8Array,
    shape: PictureSize,
  ): Promise<{ readonly name: string; readonly png: Buffer }> {
    const kept = await this.#kept(version);
    const photo = kept?.photos.get(kept.learned.nearest(thumbnail) ?? '');
    if (!kept || !photo) throw notKept();
    const { tiling, fit = 'stretch' } = version.detector.input;
    const isStretched = !tiling && fit === 'stretch';
    const seen = await photo.read().catch((error: unknown) => {
      // The file was removed or damaged a moment ago.
      this.#known.delete(keyOf(version));
      throw notKept(error);
    });
    return { name: basename(photo.name), png: await inOwnShape(seen, isStretched ? shape : undefined) };
  }

  /** Reads what is kept, unless it is known and the file is still the same. */
  async #kept(version: Version): Promise<KeptOfVersion | undefined> {
    const key = keyOf(version);
    const known = this.#known.get(key);
    const kept = await known;
    if (known && (!kept || (await stampOf(kept.file)) === kept.stamp)) return kept;
    const read = readKept(version);
    this.#known.set(key, read);
    read.catch(() => this.#known.delete(key));
    return read;
  }
}

function keyOf({ detector, folder }: Version): string {
  return `${folder}/${detector.version}`;
}

/** Returns what changes with a file; undefined without one. */
async function stampOf(file: string): Promise<string | undefined> {
  const found = await stat(file).catch(() => undefined);
  return found && `${found.ino}:${found.size}:${found.mtimeMs}`;
}

function notKept(cause?: unknown): ProblemError {
  const why = cause === undefined ? '' : `: ${describeError(cause)}`;
  return new ProblemError(
    'no-photos',
    `no good photos of this version are kept here${why}; they are if it is made by this service, or by mkd distill in its folder`,
  );
}

async function readKept({ detector, folder }: Version): Promise<KeptOfVersion | undefined> {
  const { manifest, input } = detector;
  // A trained cloner keeps no photos.
  if (manifest.cloner.kind !== 'linear') return undefined;
  try {
    const { file, photos } = await readKeptPhotos(folder, manifest.data.fingerprint, input);
    const learned = await readLearnedImages(folder, manifest);
    const byFingerprint = new Map(photos.map((photo) => [fingerprintOf(photo.sha256), photo]));
    return { photos: byFingerprint, learned, file, stamp: await stampOf(file) };
  } catch (error) {
    if (error instanceof DatasetError) return undefined;
    throw error;
  }
}
