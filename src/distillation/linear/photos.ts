/** Good photos: as files, or as they are kept beside a detector, so that others can be added or taken back later. */
import { createReadStream, createWriteStream } from 'node:fs';
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { DatasetError } from '../../datasets/index.js';
import { photosFile, photosSuffix } from '../../detector/index.js';
import { makeFolder } from '../../files/folders.js';
import { tarEntries } from '../../files/tar-entries.js';
import {
  decodePng,
  encodePng,
  type InputShape,
  type OnWarning,
  type PictureSize,
  type ScaledImage,
  tileGrid,
} from '../../imaging/index.js';
import { readImage } from '../images/training-set.js';

/** A good photo. */
export interface Photo {
  /** Path of its file, for messages. */
  readonly name: string;
  /** Of its file. */
  readonly sha256: Buffer;
  /** Decodes it. @throws ImageError naming it. */
  readonly read: () => Promise<ScaledImage>;
}

/** Returns a photo in a file, scaled for a detector. */
export function photoFile(path: string, sha256: Buffer, input: InputShape, onWarning?: OnWarning): Photo {
  return { name: path, sha256, read: async () => (await readImage(path, input, onWarning)).image };
}

const indexFile = 'photos.json';

const indexSchema = Type.Object({
  schema: Type.Literal('mkd.photos/1'),
  /** Of the photos that the detector was made from, as in its manifest. */
  fingerprint: Type.String(),
  groupBy: Type.Optional(Type.String()),
  photos: Type.Array(
    Type.Object({
      name: Type.String(),
      /** Its entry in the archive. */
      file: Type.String(),
      sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
      /** The part that it shows, if several photos show the same. */
      part: Type.Optional(Type.String()),
      /** Of the image, if it does not fill its square, or is not wholly in it. */
      size: Type.Optional(Type.Object({ width: Type.Integer(), height: Type.Integer() })),
    }),
  ),
});

type PhotoIndex = Static<typeof indexSchema>;

/** The photos of a detector. */
export interface KeptPhotos {
  readonly fingerprint: string;
  readonly groupBy?: string | undefined;
  readonly photos: readonly (Photo & { readonly part?: string | undefined })[];
}

/** Bytes of a header in a tar archive; contents are filled up to a multiple of it. */
const blockBytes = 512;

/** Larger ones take longer than the expert. */
const pngLevel = 2;

/** Writes photos beside a detector while it is made, each as it is scaled. */
export class PhotoKeeper {
  readonly #archive = pack();
  readonly #fresh: string;
  readonly #written: Promise<void>;
  #last: Promise<void> = Promise.resolve();
  readonly #sizes: (PictureSize | undefined)[] = [];

  static async open(detector: string): Promise<PhotoKeeper> {
    await makeFolder(dirname(resolve(detector)));
    return new PhotoKeeper(detector);
  }

  private constructor(private readonly detector: string) {
    this.#fresh = `${photosFile(detector)}.new`;
    this.#written = pipeline(this.#archive, createWriteStream(this.#fresh));
    this.#written.catch(() => undefined);
  }

  /** Adds the next photo. @throws the error of an earlier one, such as a full disk. */
  async add({ grid: { width, height, placement }, pixels }: ScaledImage): Promise<void> {
    await this.#last;
    const name = `${this.#sizes.length}.png`;
    this.#sizes.push(placement?.image);
    this.#last = encodePng(pixels, width, height, 3, pngLevel).then((png) => this.#entry(name, png));
    this.#last.catch(() => undefined);
  }

  /** Replaces the photos that were kept before. @param places of the photos among those that were added. @returns the size of the file. */
  async finish({ photos, ...rest }: KeptPhotos, places: readonly number[]): Promise<number> {
    await this.#last;
    const listed = photos.map(({ name, sha256, part }, at) => {
      const place = places[at] as number;
      const size = this.#sizes[place];
      return {
        name,
        file: `${place}.png`,
        sha256: sha256.toString('hex'),
        ...(part === undefined ? {} : { part }),
        ...(size ? { size } : {}),
      };
    });
    const index = { schema: 'mkd.photos/1', ...rest, photos: listed };
    await this.#entry(indexFile, Buffer.from(`${JSON.stringify(index, null, 1)}\n`));
    this.#archive.finalize();
    await this.#written;
    await rename(this.#fresh, photosFile(this.detector));
    return (await stat(photosFile(this.detector))).size;
  }

  /** Leaves what was kept before. */
  async discard(): Promise<void> {
    this.#archive.destroy();
    await this.#written.catch(() => undefined);
    await rm(this.#fresh, { force: true });
  }

  async #entry(name: string, content: Buffer): Promise<void> {
    const added = new Promise<void>((done, failed) => {
      this.#archive.entry({ name, mtime: new Date(0) }, content, (error) => (error ? failed(error) : done()));
    });
    // If the disk is full, the archive only says that it has ended.
    await Promise.race([added, this.#written]).catch(async (error: unknown) => {
      await this.#written;
      throw error;
    });
  }
}

/**
 * Finds the photos that a detector was made from: beside it, or beside another version of it, whose threshold differs.
 * @param fingerprint of the photos, as in the detector's manifest.
 * @throws DatasetError if none are kept, they belong to another detector, or the file is damaged.
 */
export async function readKeptPhotos(
  detector: string,
  fingerprint: string,
  input: InputShape,
): Promise<KeptPhotos & { readonly file: string }> {
  const own = photosFile(detector);
  const around = dirname(resolve(detector));
  const others = await Promise.all([around, resolve(detector)].map(archivesIn));
  const candidates = await existing([...new Set([own, ...others.flat(), photosFile(around)])]);
  for (const path of candidates) {
    const kept = await readArchive(path, input).catch((error: unknown) => {
      // What is beside other detectors may be damaged.
      if (path === own) throw error;
    });
    if (kept?.fingerprint === fingerprint) return { ...kept, file: path };
  }
  throw new DatasetError(
    candidates.includes(own)
      ? `${own} belongs to another version of ${detector}; distill again from all photos`
      : `the photos of ${detector} are not kept: there is no ${own}; distill again from all photos`,
  );
}

async function archivesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith(photosSuffix)).map((name) => join(folder, name));
}

async function existing(paths: readonly string[]): Promise<string[]> {
  const found = await Promise.all(paths.map((path) => stat(path).catch(() => undefined)));
  return paths.filter((_, at) => found[at]);
}

async function readArchive(path: string, input: InputShape): Promise<KeptPhotos> {
  const damaged = new DatasetError(`${path} is damaged; distill again from the photos`);
  const places = new Map<string, { readonly at: number; readonly size: number }>();
  let text = '';
  let at = 0;
  try {
    for await (const entry of tarEntries((into) => pipeline(createReadStream(path), into))) {
      const { name, size = 0 } = entry.header;
      places.set(name, { at: at + blockBytes, size });
      at += blockBytes + blockBytes * Math.ceil(size / blockBytes);
      if (name === indexFile) text = (await buffer(entry)).toString();
      else entry.resume();
    }
  } catch {
    throw damaged;
  }
  const index: unknown = text === '' ? undefined : JSON.parse(text);
  if (!Value.Check(indexSchema, index)) throw damaged;
  const { photos, fingerprint, groupBy } = index as PhotoIndex;
  return {
    fingerprint,
    groupBy,
    photos: photos.map(({ name, file, sha256, part, size }) => {
      const place = places.get(file);
      if (!place) throw damaged;
      const read = (): Promise<ScaledImage> => readKept(path, place, input, size);
      return { name, part, sha256: Buffer.from(sha256, 'hex'), read };
    }),
  };
}

async function readKept(
  path: string,
  { at, size }: { readonly at: number; readonly size: number },
  { inputSize, tiling, fit }: InputShape,
  image: PictureSize | undefined,
): Promise<ScaledImage> {
  const file = await open(path);
  try {
    const { buffer: png } = await file.read(Buffer.alloc(size), 0, size, at);
    const { width, height, pixels } = await decodePng(png);
    // It is scaled already.
    const scaled = { inputSize, tiling: tiling && { ...tiling, scale: 1 } };
    const grid = image ? tileGrid(image, { inputSize, fit }) : tileGrid({ width, height }, scaled);
    return { grid, pixels };
  } finally {
    await file.close();
  }
}
