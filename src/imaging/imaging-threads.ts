/**
 * Threads that work on images for a service. Whatever an image costs, from a faulty JPEG to an overlay of 50 megapixels,
 * the event loop only sends it and receives the result.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { cores } from '../files/cores.js';
import type { Artifact, MappedImage } from './artifacts.js';
import { type Admission, type DetectorImage, pixelsToDecode } from './decode.js';
import { ImageError } from './image-error.js';
import type { Imager } from './imager.js';
import type { Reply, ThreadTask } from './imaging-worker.js';
import type { ImageInput, ImageLimits } from './inspect.js';
import { areaOf, type LocalizationMap, type PictureSize } from './map.js';
import { PixelPool } from './pixel-pool.js';
import type { Region } from './regions.js';
import type { InputShape } from './tiles.js';
import type { ValueRange } from './value-range.js';

/** libvips works in threads of its own meanwhile, so that one of ours can have several images in work. */
const imagesPerThread = 2;

/** Without work for this long, all threads but one end. */
const idleMs = 60_000;

/** Without work for this long, a thread can end: Node.js 20 fails if its compiler is still busy. */
const quietMs = 50;

export class ImagingThreads implements Imager {
  readonly #pool: Piscina;
  readonly #pixels = new PixelPool();

  /** @param threads by default one for each core, at most eight. */
  constructor(threads = Math.min(8, cores())) {
    this.#pool = new Piscina({
      filename: fileURLToPath(new URL('./imaging-worker.js', import.meta.url)),
      // Without what the program preloads, as in runtime/device.
      execArgv: [],
      minThreads: 1,
      maxThreads: threads,
      // By default a further thread ends as soon as it is idle: starting one costs as much as fifty images.
      idleTimeout: idleMs,
      concurrentTasksPerWorker: imagesPerThread,
      atomics: 'disabled',
      recordTiming: false,
    });
  }

  async decode(
    image: ImageInput,
    shape: InputShape,
    limits: ImageLimits & Admission,
  ): Promise<DetectorImage> {
    await admitted(image, shape, limits);
    const task = { image, shape, limits: plain(limits) };
    // The size of an image in tiles is its own.
    if (shape.tiling) return this.#run<'decode', DetectorImage>('decode', task);
    const target = this.#pixels.take(3 * areaOf(shape.inputSize));
    try {
      const decoded = await this.#run<'decode', DetectorImage>('decode', { ...task, target });
      return { ...decoded, pixels: target, release: () => this.#pixels.give(target) };
    } catch (error) {
      // A thread that was lost may still write.
      if (error instanceof ImageError) this.#pixels.give(target);
      throw error;
    }
  }

  async thumbnail(
    image: ImageInput,
    shape: InputShape,
    limits: ImageLimits & Admission,
  ): Promise<Uint8Array> {
    await admitted(image, shape, limits);
    return this.#run('thumbnail', { image, shape, limits: plain(limits) });
  }

  regions(map: LocalizationMap, threshold: number, to: PictureSize): Promise<Region[]> {
    return this.#run('regions', { map, threshold, to });
  }

  async render(kind: Artifact, mapped: MappedImage): Promise<Buffer> {
    // Only an overlay shows the image itself.
    const image = kind === 'overlay' ? mapped.image : new Uint8Array();
    const bytes = await this.#run<'render', Uint8Array<ArrayBuffer>>('render', {
      kind,
      mapped: { ...mapped, image },
    });
    return Buffer.from(bytes.buffer);
  }

  async photo(image: ImageInput, range: ValueRange | undefined, limits: ImageLimits): Promise<Buffer> {
    const bytes = await this.#run<'photo', Uint8Array<ArrayBuffer>>('photo', { image, range, limits });
    return Buffer.from(bytes.buffer);
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    await pause(quietMs);
    await this.#pool.destroy();
  }

  async #run<Name extends keyof ThreadTask, Result>(name: Name, task: ThreadTask[Name]): Promise<Result> {
    const reply = (await this.#pool.run(task, { name })) as Reply<Result>;
    if ('result' in reply) return reply.result;
    throw new ImageError(...reply.refused);
  }
}

/** Waits for memory before a thread is taken: an image that waits must not keep others from ending. */
async function admitted(
  image: ImageInput,
  shape: InputShape,
  { admit, ...limits }: ImageLimits & Admission,
): Promise<void> {
  await admit?.(await pixelsToDecode(image, shape, limits));
}

/** Returns what can be sent to a thread. */
function plain({ maxBytes, maxPixels }: ImageLimits): ImageLimits {
  return { maxBytes, maxPixels };
}
