/** The good photos that detectors were made from, where they are kept: one of them is shown beside a result. */
import { basename } from 'node:path';
import { LRUCache } from 'lru-cache';
import { DatasetError } from '../datasets/index.js';
import {
  fingerprintOf,
  type LearnedImages,
  type LoadedDetector,
  readLearnedImages,
} from '../detector/index.js';
import { type Photo, readKeptPhotos } from '../distillation/index.js';
import { inShapeOf, type PictureSize } from '../imaging/index.js';
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
   * @param shape of the image, which the picture takes on.
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
    if (!photo) {
      throw new ProblemError(
        'no-photos',
        'no good photos of this version are kept here; they are if it is made by this service, or by mkd distill in its folder',
      );
    }
    return { name: basename(photo.name), png: await inShapeOf(await photo.read(), shape) };
  }

  #kept({ detector, folder }: Version): Promise<KeptOfVersion | undefined> {
    const key = `${folder}/${detector.version}`;
    const known = this.#known.get(key);
    if (known) return known;
    const read = readKept({ detector, folder });
    this.#known.set(key, read);
    read.catch(() => this.#known.delete(key));
    return read;
  }
}

async function readKept({ detector, folder }: Version): Promise<KeptOfVersion | undefined> {
  const { manifest, input } = detector;
  // A trained cloner keeps no photos.
  if (manifest.cloner.kind !== 'linear') return undefined;
  try {
    const { photos } = await readKeptPhotos(folder, manifest.data.fingerprint, input);
    const learned = await readLearnedImages(folder, manifest);
    return { photos: new Map(photos.map((photo) => [fingerprintOf(photo.sha256), photo])), learned };
  } catch (error) {
    if (error instanceof DatasetError) return undefined;
    throw error;
  }
}
