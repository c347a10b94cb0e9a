/**
 * The training images of a cloner, and others made from them, with the expert's activations for each: computed once and
 * kept in memory or on disk.
 */
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
import type { ConstantTensor } from '../../onnx/index.js';
import { type Device, float32, float32Data, type Session, type Tensors, uint8 } from '../../runtime/index.js';
import { expertModel } from '../models.js';
import { RecordStore } from './record-store.js';

/** An image made from images cut from files. */
export interface MadeImage {
  /** uint8 RGB [inputSize, inputSize, 3] */
  readonly pixels: Uint8Array;
  /** uint8 [inputSize, inputSize]: 1 where the cloner must not follow the expert; undefined if nowhere. */
  readonly mask?: Uint8Array;
}

/** Makes an image. @param image returns the pixels of an image by its index. */
export type ImageMaker = (image: (index: number) => Promise<Uint8Array>) => Promise<MadeImage>;

export interface TrainingSetOptions {
  readonly paths: readonly string[];
  /** Images to make; their indices follow those of the files. A list may use images made by earlier lists. */
  readonly makers?: readonly (readonly ImageMaker[])[];
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

/** Lower bound of a channel's deviation, as a share of the layer's mean deviation. */
const leastDeviationShare = 0.05;

/** Images in one run of the expert: more gain little and cost memory. */
const expertBatch = 8;

const { inputs, layerNames, storedNames } = tensorNames;

export class TrainingSet {
  readonly #masks = new Map<number, Uint8Array>();
  #count = 0;
  #files: readonly LearnedImage[] = [];

  private constructor(
    private readonly inputSize: number,
    private readonly pixels: RecordStore,
    private readonly activations: ReadonlyMap<LayerSpec, RecordStore>,
  ) {}

  /** Decodes and makes all images, and runs the expert on them. @throws ImageError naming the invalid file. */
  static async prepare(device: Device, options: TrainingSetOptions): Promise<TrainingSet> {
    const { makers = [], layers, memoryBytes } = options;
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
    const made = makers.flat().length;
    const onBatch = (done: number): void => {
      options.signal?.throwIfAborted();
      options.onProgress?.(done, options.paths.length + made);
    };
    try {
      await set.#read(session, options, onBatch);
      const read = set.#count;
      for (const list of makers) {
        await set.#make(session, list, () => onBatch(options.paths.length + set.#count - read));
      }
      return set;
    } catch (error) {
      await set.close();
      throw error;
    } finally {
      await session.close();
    }
  }

  /** Number of squares cut from files and of images made from them. */
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

  /** Returns images, defects and the expert's activations, as inputs of the training graph. */
  async batch(indices: readonly number[]): Promise<Tensors> {
    const feeds: Record<string, Tensors[string]> = {};
    feeds[inputs.image] = uint8(
      [indices.length, this.inputSize, this.inputSize, 3],
      await gather(this.pixels, indices),
    );
    const defects = new Uint8Array(indices.length * this.inputSize ** 2);
    for (const [row, index] of indices.entries()) {
      const mask = this.#masks.get(index);
      if (mask) defects.set(mask, row * this.inputSize ** 2);
    }
    feeds[inputs.defect] = uint8([indices.length, this.inputSize, this.inputSize], defects);
    return { ...feeds, ...(await this.activationsOf(indices, [...this.activations.keys()])) };
  }

  /** Returns the expert's activations of these images. */
  async activationsOf(indices: readonly number[], layers: readonly LayerSpec[]): Promise<Tensors> {
    const feeds: Record<string, Tensors[string]> = {};
    for (const layer of layers) {
      const bytes = await gather(this.activations.get(layer) as RecordStore, indices);
      const dims = [indices.length, ...activationShape(layer, this.inputSize)];
      feeds[layerNames.expert(layer.name)] = float32(dims, new Float32Array(bytes.buffer));
    }
    return feeds;
  }

  /** Returns the pixels of one image, uint8 [inputSize, inputSize, 3]. */
  async image(index: number): Promise<Uint8Array> {
    return gather(this.pixels, [index]);
  }

  /**
   * Returns mean and deviation of each of the expert's channels over all positions of these images. The deviation of a
   * channel is at least a twentieth of the layer's mean deviation, so that noise is not amplified.
   */
  async channelStatistics(indices: readonly number[]): Promise<Map<string, ConstantTensor>> {
    const statistics = new Map<string, ConstantTensor>();
    for (const [layer, store] of this.activations) {
      const [channels, side] = activationShape(layer, this.inputSize) as [number, number];
      const sums = new Float64Array(channels);
      const squares = new Float64Array(channels);
      const plane = side * side;
      const record = new Uint8Array(store.recordBytes);
      const entries = new Float32Array(record.buffer);
      for (const index of indices) {
        await store.read(index, record, 0);
        for (const [at, entry] of entries.entries()) {
          const channel = Math.floor(at / plane);
          sums[channel] = (sums[channel] as number) + entry;
          squares[channel] = (squares[channel] as number) + entry * entry;
        }
      }
      const count = indices.length * plane;
      const mean = Float32Array.from(sums, (sum) => sum / count);
      const deviation = Float32Array.from(squares, (square, channel) =>
        Math.sqrt(Math.max(0, square / count - ((sums[channel] as number) / count) ** 2)),
      );
      const least = (deviation.reduce((sum, value) => sum + value, 0) / channels) * leastDeviationShare;
      const vector = (data: Float32Array): ConstantTensor => ({ type: 'float32', shape: [channels], data });
      statistics.set(storedNames.channelMean(layer.name), vector(mean));
      statistics.set(
        storedNames.channelDeviation(layer.name),
        vector(deviation.map((value) => Math.max(value, least, Number.EPSILON))),
      );
    }
    return statistics;
  }

  async #read(
    session: Session,
    { paths, input, corners = () => [[0, 0]], onWarning }: TrainingSetOptions,
    onBatch: (files: number) => void,
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
      onBatch(first + files.length);
    }
    this.#files = read;
  }

  async #make(session: Session, makers: readonly ImageMaker[], onBatch: () => void): Promise<void> {
    for (let first = 0; first < makers.length; first += expertBatch) {
      const part = makers.slice(first, first + expertBatch);
      const made = await Promise.all(part.map((make) => make((index) => this.image(index))));
      for (const [row, { mask }] of made.entries()) if (mask) this.#masks.set(this.#count + row, mask);
      await this.#append(
        session,
        made.map(({ pixels }) => pixels),
      );
      onBatch();
    }
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
