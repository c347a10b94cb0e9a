/** The training images of a cloner, with the expert's activations for each: computed once and kept in memory or on disk. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { LearnedImage } from '../../detector/index.js';
import {
  cropped,
  type DetectorImage,
  decodeNamedImage,
  type InputShape,
  type OnWarning,
  sideOf,
  type TileGrid,
  thumbnail,
} from '../../imaging/index.js';
import { type LayerSpec, tensorNames } from '../../networks/index.js';
import { type Device, float32, float32Data, type Session, type Tensors, uint8 } from '../../runtime/index.js';
import { expertModel } from '../models.js';
import { RecordStore } from './record-store.js';

export interface TrainingSetOptions {
  readonly paths: readonly string[];
  readonly input: InputShape;
  /** Corners of the squares to cut from a file's image, in its scaled size; by default its one tile. */
  readonly corners?: (file: number, grid: TileGrid) => readonly (readonly [x: number, y: number])[];
  readonly layers: readonly LayerSpec[];
  readonly expertCard: string;
  /** How much of pixels and activations is kept in memory. */
  readonly memoryBytes: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
  /** Called with what a user should know of a file: it was repaired, or only a part of it is used. */
  readonly onWarning?: OnWarning | undefined;
}

/** Images in one run of the expert: more gain little and cost memory. */
const expertBatch = 8;

const { inputs, layerNames } = tensorNames;

export class TrainingSet {
  #count = 0;
  #files: readonly LearnedImage[] = [];

  private constructor(
    private readonly inputSize: number,
    private readonly pixels: RecordStore,
    private readonly activations: ReadonlyMap<LayerSpec, RecordStore>,
  ) {}

  /** Decodes all images, and runs the expert on them. @throws ImageError naming the invalid file. */
  static async prepare(device: Device, options: TrainingSetOptions): Promise<TrainingSet> {
    const { layers, memoryBytes } = options;
    const inputSize = sideOf(options.input.inputSize);
    const bytes = [
      3 * inputSize ** 2,
      ...layers.map((layer) => 4 * count(activationShape(layer, inputSize))),
    ];
    const perImage = bytes.reduce((sum, size) => sum + size, 0);
    const stores = bytes.map((size) => new RecordStore(size, (memoryBytes * size) / perImage));
    const [pixels, ...activations] = stores as [RecordStore, ...RecordStore[]];
    const byLayer = new Map(layers.map((layer, index) => [layer, activations[index] as RecordStore]));
    const set = new TrainingSet(inputSize, pixels, byLayer);
    const names = layers.map(({ name }) => name);
    const session = await device.session(
      expertModel({ expertCard: options.expertCard, inputSize, layers: names }),
    );
    try {
      await set.#read(session, options);
      return set;
    } catch (error) {
      await set.close();
      throw error;
    } finally {
      await session.close();
    }
  }

  /** Number of squares cut from files. */
  get count(): number {
    return this.#count;
  }

  /** SHA-256 of each image file. */
  get files(): readonly LearnedImage[] {
    return this.#files;
  }

  /** SHA-256 over the SHA-256 of each image file, in order. */
  get fingerprint(): string {
    return fingerprintOfData(this.#files.map(({ sha256 }) => sha256));
  }

  /** Returns images and the expert's activations, as inputs of the training graph. */
  async batch(indices: readonly number[]): Promise<Tensors> {
    const feeds: Record<string, Tensors[string]> = {};
    feeds[inputs.image] = uint8(
      [indices.length, this.inputSize, this.inputSize, 3],
      await gather(this.pixels, indices),
    );
    for (const [layer, store] of this.activations) {
      const bytes = await gather(store, indices);
      const dims = [indices.length, ...activationShape(layer, this.inputSize)];
      feeds[layerNames.expert(layer.name)] = float32(dims, new Float32Array(bytes.buffer));
    }
    return feeds;
  }

  /** Returns the pixels of one image, uint8 [inputSize, inputSize, 3]. */
  async image(index: number): Promise<Uint8Array> {
    return gather(this.pixels, [index]);
  }

  async #read(
    session: Session,
    { paths, input, corners = () => [[0, 0]], signal, onProgress, onWarning }: TrainingSetOptions,
  ): Promise<void> {
    const read: LearnedImage[] = [];
    for (let first = 0; first < paths.length; first += expertBatch) {
      const part = paths.slice(first, first + expertBatch);
      const files = await inOrder(part.map((path) => readImage(path, input, onWarning)));
      const squares = files.flatMap(({ image }, index) =>
        corners(first + index, image.grid).map((corner) => cropped(image, corner)),
      );
      read.push(...files.map(({ image, sha256 }) => ({ sha256, thumbnail: thumbnail(image) })));
      for (let from = 0; from < squares.length; from += expertBatch) {
        await this.#append(session, squares.slice(from, from + expertBatch));
      }
      signal?.throwIfAborted();
      onProgress?.(first + files.length, paths.length);
    }
    this.#files = read;
  }

  /** Runs the expert on images, and stores images and activations. */
  async #append(session: Session, images: readonly Uint8Array[]): Promise<void> {
    const dims = [images.length, this.inputSize, this.inputSize, 3];
    const { outputs } = await session.run({ [inputs.image]: uint8(dims, Buffer.concat(images)) });
    for (const image of images) await this.pixels.append(image);
    for (const [{ name }, store] of this.activations) {
      await appendRows(store, float32Data(outputs, name), images.length);
    }
    this.#count += images.length;
  }

  async close(): Promise<void> {
    await Promise.all([this.pixels, ...this.activations.values()].map((store) => store.close()));
  }
}

/** Returns the SHA-256 over the SHA-256 of each image file, in order. */
export function fingerprintOfData(digests: readonly Uint8Array[]): string {
  return createHash('sha256').update(Buffer.concat(digests)).digest('hex');
}

/** Returns [C, H, W] of a critical layer. */
function activationShape({ channels, stride }: LayerSpec, inputSize: number): number[] {
  return [channels, inputSize / stride, inputSize / stride];
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Waits for all results. If several fail, the first in the list is thrown, not the first in time. */
async function inOrder<Result>(work: readonly Promise<Result>[]): Promise<Result[]> {
  await Promise.allSettled(work);
  const results: Result[] = [];
  for (const result of work) results.push(await result);
  return results;
}

/** Reads an image file once, for its pixels and its SHA-256. @throws ImageError with the path in its message. */
export async function readImage(
  path: string,
  input: InputShape,
  onWarning?: OnWarning,
): Promise<{ image: DetectorImage; sha256: Buffer }> {
  const bytes = await readFile(path);
  const image = await decodeNamedImage(bytes, path, input, onWarning);
  return { image, sha256: createHash('sha256').update(bytes).digest() };
}

async function appendRows(store: RecordStore, data: Float32Array, rows: number): Promise<void> {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  for (let row = 0; row < rows; row++) {
    await store.append(bytes.subarray(row * store.recordBytes, (row + 1) * store.recordBytes));
  }
}

async function gather(store: RecordStore, indices: readonly number[]): Promise<Uint8Array> {
  const bytes = new Uint8Array(indices.length * store.recordBytes);
  for (const [row, index] of indices.entries()) await store.read(index, bytes, row * store.recordBytes);
  return bytes;
}
