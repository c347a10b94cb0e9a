/**
 * The images a cloner was trained on: a hash of each file, and a thumbnail. The cloner follows them more closely than other
 * images, so thresholds and figures measured on them, or on other photos of the same parts, are too good.
 */
import { createHash } from 'node:crypto';
import { thumbnailSide } from '../imaging/index.js';
import { tensorNames } from '../networks/index.js';
import type { ConstantTensor } from '../onnx/index.js';
import type { TensorMap } from '../weights/safetensors.js';
import { NearCopies } from './near-copies.js';

const { learnedImages, learnedThumbnails } = tensorNames.storedNames;
const bytesEach = 8;

/** What is kept of a training image. */
export interface LearnedImage {
  readonly sha256: Uint8Array;
  /** uint8 [16, 16] */
  readonly thumbnail: Uint8Array;
}

export class LearnedImages {
  readonly #known: ReadonlySet<string>;
  #copies: NearCopies | undefined;

  /** @param fingerprints of the files, in the order of their thumbnails. */
  private constructor(
    private readonly fingerprints: readonly string[],
    private readonly thumbnails: readonly Uint8Array[],
  ) {
    this.#known = new Set(fingerprints);
  }

  /** Reads hashes and thumbnails from a cloner's tensors; without them the set is empty. */
  static among(tensors: TensorMap): LearnedImages {
    const hashes = rowsOf(tensors, learnedImages, bytesEach).map((row) => Buffer.from(row).toString('hex'));
    return new LearnedImages(hashes, rowsOf(tensors, learnedThumbnails, thumbnailSide ** 2));
  }

  /** Returns whether the cloner was trained on a file with these contents. */
  has(file: Uint8Array): boolean {
    return this.hasSha256(createHash('sha256').update(file).digest());
  }

  /** Returns the same by SHA-256 of the contents. */
  hasSha256(sha256: Buffer): boolean {
    return this.#known.has(fingerprintOf(sha256));
  }

  /** Returns which image is most like a thumbnail, by its {@link fingerprintOf}; undefined if there are no thumbnails. */
  nearest(thumbnail: Uint8Array): string | undefined {
    const at = this.nearCopies()?.nearest(thumbnail);
    return at === undefined ? undefined : this.fingerprints[at];
  }

  /** Returns what finds other photos of the same parts; undefined if there are no thumbnails. */
  nearCopies(): NearCopies | undefined {
    if (this.thumbnails.length === 0) return undefined;
    this.#copies ??= new NearCopies(this.thumbnails);
    return this.#copies;
  }
}

/** Returns how a file is known, by its SHA-256. */
export function fingerprintOf(sha256: Buffer): string {
  return sha256.toString('hex', 0, bytesEach);
}

function rowsOf(tensors: TensorMap, name: string, bytes: number): Uint8Array[] {
  const { data } = tensors.get(name) ?? {};
  if (!(data instanceof Uint8Array)) return [];
  return Array.from({ length: data.length / bytes }, (_, row) =>
    data.subarray(row * bytes, (row + 1) * bytes),
  );
}

/** Returns what is stored with a cloner. */
export function learnedTensors(images: readonly LearnedImage[]): [name: string, tensor: ConstantTensor][] {
  const count = images.length;
  const hashes = Buffer.concat(images.map(({ sha256 }) => sha256.subarray(0, bytesEach)));
  const thumbnails = Buffer.concat(images.map((image) => image.thumbnail));
  return [
    [learnedImages, { type: 'uint8', shape: [count, bytesEach], data: Uint8Array.from(hashes) }],
    [
      learnedThumbnails,
      { type: 'uint8', shape: [count, thumbnailSide, thumbnailSide], data: Uint8Array.from(thumbnails) },
    ],
  ];
}
