/** What imaging threads do. Results are moved to the thread that asked, not copied. */
import { move, transferableSymbol, valueSymbol } from 'piscina';
import type { Artifact, MappedImage } from './artifacts.js';
import type { DetectorImage } from './decode.js';
import { ImageError, type ImageErrorKind } from './image-error.js';
import { directImager } from './imager.js';
import type { ImageInput, ImageLimits } from './inspect.js';
import type { LocalizationMap, PictureSize } from './map.js';
import type { InputShape } from './tiles.js';
import type { ValueRange } from './value-range.js';

interface Decoding {
  readonly image: ImageInput;
  readonly shape: InputShape;
  readonly limits: ImageLimits;
}

/** What a thread is asked, by the name of its function. */
export interface ThreadTask {
  /** @param target shared memory for the pixels, if their number is known. */
  readonly decode: Decoding & { readonly target?: Uint8Array<SharedArrayBuffer> };
  readonly thumbnail: Decoding;
  readonly regions: {
    readonly map: LocalizationMap;
    readonly threshold: number;
    readonly to: PictureSize;
  };
  readonly photo: {
    readonly image: ImageInput;
    readonly range: ValueRange | undefined;
    readonly limits: ImageLimits;
  };
  readonly render: { readonly kind: Artifact; readonly mapped: MappedImage };
}

/** A result, or why there is none: errors lose their class between threads. */
export type Reply<Result> =
  | { readonly result: Result }
  | { readonly refused: readonly [ImageErrorKind, string] };

export function decode({ image, shape, limits, target }: ThreadTask['decode']): Promise<unknown> {
  return answered<DetectorImage>(async () => {
    const decoded = await directImager.decode(image, shape, limits);
    if (target) {
      target.set(decoded.pixels);
      return [{ ...decoded, pixels: target }];
    }
    const pixels = owned(decoded.pixels);
    return [{ ...decoded, pixels }, pixels.buffer];
  });
}

export function thumbnail({ image, shape, limits }: ThreadTask['thumbnail']): Promise<unknown> {
  return answered(async () => [await directImager.thumbnail(image, shape, limits)]);
}

export function regions({ map, threshold, to }: ThreadTask['regions']): Promise<unknown> {
  return answered(async () => [await directImager.regions(map, threshold, to)]);
}

export function render({ kind, mapped }: ThreadTask['render']): Promise<unknown> {
  return answered(async () => {
    const bytes = owned(await directImager.render(kind, mapped));
    return [bytes, bytes.buffer];
  });
}

export function photo({ image, range, limits }: ThreadTask['photo']): Promise<unknown> {
  return answered(async () => {
    const bytes = owned(await directImager.photo(image, range, limits));
    return [bytes, bytes.buffer];
  });
}

/** @param work returns a result, and the memory in it that is moved. */
async function answered<Result>(work: () => Promise<[Result, ...ArrayBuffer[]]>): Promise<unknown> {
  const [reply, ...memory] = await work().then(
    ([result, ...moved]): [Reply<Result>, ...ArrayBuffer[]] => [{ result }, ...moved],
    (error: unknown): [Reply<Result>] => {
      if (error instanceof ImageError) return [{ refused: [error.kind, error.message] }];
      throw error;
    },
  );
  return move({ [transferableSymbol]: memory, [valueSymbol]: reply });
}

/** Returns bytes in memory of their own: that of native code cannot be moved. */
function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}
