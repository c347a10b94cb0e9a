/**
 * What the cloner learns from: every image's pixels, and the expert's activations for it, computed once and
 * kept, in memory or on disk.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { decodeNamedImage } from '../imaging/index.js';
import { type CriticalLayer, expertLayout } from '../networks/index.js';
import { type Device, float32, float32Data, type Tensors, uint8 } from '../runtime/index.js';
import { expertModel } from './models.js';
import { RecordStore } from './record-store.js';

export interface LessonOptions {
  readonly paths: readonly string[];
  readonly inputSize: number;
  readonly layers: readonly CriticalLayer[];
  readonly expertCard: string;
  /** How much of pixels and activations stays in memory. */
  readonly memoryBytes: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Images at once through the expert: more gains little and costs memory. */
const expertBatch = 8;

export class Lesson {
  private constructor(
    readonly count: number,
    /** SHA-256 over the contents of all image files, in order. */
    readonly fingerprint: string,
    readonly layers: readonly CriticalLayer[],
    private readonly inputSize: number,
    private readonly pixels: RecordStore,
    private readonly activations: ReadonlyMap<CriticalLayer, RecordStore>,
  ) {}

  /** Decodes all images and shows them to the expert. @throws ImageError naming the file that is no image. */
  static async prepare(device: Device, options: LessonOptions): Promise<Lesson> {
    const { paths, inputSize, layers, memoryBytes } = options;
    const pixelBytes = inputSize * inputSize * 3;
    const shapes = layers.map((layer) => activationShape(layer, inputSize));
    const bytes = [pixelBytes, ...shapes.map((shape) => 4 * count(shape))];
    const perImage = bytes.reduce((sum, size) => sum + size, 0);
    const stores = bytes.map((size) => new RecordStore(size, (memoryBytes * size) / perImage));
    const [pixels, ...activations] = stores as [RecordStore, ...RecordStore[]];
    const hash = createHash('sha256');
    const session = await device.session(expertModel({ expertCard: options.expertCard, inputSize, layers }));
    try {
      for (let first = 0; first < paths.length; first += expertBatch) {
        options.signal?.throwIfAborted();
        const files = await Promise.all(
          paths.slice(first, first + expertBatch).map((path) => readImage(path, inputSize)),
        );
        const batch = new Uint8Array(files.length * pixelBytes);
        for (const [index, file] of files.entries()) {
          hash.update(file.sha256);
          batch.set(file.pixels, index * pixelBytes);
          await pixels.append(file.pixels);
        }
        const image = uint8([files.length, inputSize, inputSize, 3], batch);
        const { outputs } = await session.run({ image });
        for (const [index, layer] of layers.entries()) {
          await appendRows(activations[index] as RecordStore, float32Data(outputs, layer), files.length);
        }
        options.onProgress?.(first + files.length, paths.length);
      }
    } catch (error) {
      await Promise.all(stores.map((store) => store.close()));
      throw error;
    } finally {
      await session.close();
    }
    const byLayer = new Map(layers.map((layer, index) => [layer, activations[index] as RecordStore]));
    return new Lesson(paths.length, hash.digest('hex'), layers, inputSize, pixels, byLayer);
  }

  /** Whether some of it had to go to disk. */
  get spilled(): boolean {
    return [this.pixels, ...this.activations.values()].some((store) => store.spilled);
  }

  /** `image` and `expert.<layer>` of these images, as the training graph takes them. */
  async batch(indices: readonly number[]): Promise<Tensors> {
    const feeds: Record<string, Tensors[string]> = {};
    feeds.image = uint8(
      [indices.length, this.inputSize, this.inputSize, 3],
      await gather(this.pixels, indices),
    );
    for (const [layer, store] of this.activations) {
      const bytes = await gather(store, indices);
      const dims = [indices.length, ...activationShape(layer, this.inputSize)];
      feeds[`expert.${layer}`] = float32(dims, new Float32Array(bytes.buffer));
    }
    return feeds;
  }

  /** The pixels of one image, uint8 [inputSize, inputSize, 3]. */
  async image(index: number): Promise<Uint8Array> {
    return gather(this.pixels, [index]);
  }

  async close(): Promise<void> {
    await Promise.all([this.pixels, ...this.activations.values()].map((store) => store.close()));
  }
}

/** Channels of the expert at a critical layer. */
export function expertChannels(layer: CriticalLayer): number {
  const block = expertLayout[Number(layer.slice('pool'.length)) - 1];
  if (!block) throw new RangeError(`the expert has no layer ${layer}`);
  return block.at(-1) as number;
}

function activationShape(layer: CriticalLayer, inputSize: number): number[] {
  const side = inputSize / 2 ** Number(layer.slice('pool'.length));
  return [expertChannels(layer), side, side];
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

async function readImage(path: string, size: number): Promise<{ pixels: Uint8Array; sha256: Buffer }> {
  const bytes = await readFile(path);
  const { pixels } = await decodeNamedImage(bytes, path, size);
  return { pixels, sha256: createHash('sha256').update(bytes).digest() };
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
