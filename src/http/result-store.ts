/** Recent results, bounded in number, bytes and time. The least recently used is evicted first. */
import { LRUCache } from 'lru-cache';
import type { LocalizationMethod } from '../detector/index.js';
import type { ImageInput, LocalizationMap, PictureSize } from '../imaging/index.js';
import { ProblemError } from './plugins/problems.js';
import type { Result } from './v1/schemas/index.js';

export interface StoredResult {
  readonly detectorName: string;
  /** Version of the detector. The detector itself is not kept: there may be a thousand of them. */
  readonly version: string;
  /** The detector's own localization method. */
  readonly localization: LocalizationMethod;
  readonly result: Result;
  /** The image as received, so that maps can be computed later. */
  readonly image: ImageInput;
  readonly size: PictureSize;
  readonly maps: ReadonlyMap<LocalizationMethod, LocalizationMap>;
}

export interface ResultStoreLimits {
  readonly maxResults: number;
  readonly maxBytes: number;
  readonly maxAgeMs: number;
}

export const defaultResultStoreLimits: ResultStoreLimits = {
  maxResults: 1000,
  maxBytes: 256 * 2 ** 20,
  maxAgeMs: 10 * 60_000,
};

interface Entry {
  readonly stored: StoredResult;
  readonly addedAt: number;
}

/** Number of ids remembered after eviction, to tell expired results from unknown ones. */
const rememberedIds = 10_000;

export class ResultStore {
  readonly #results: LRUCache<string, Entry>;
  /** When each result was evicted, in milliseconds since 1970. */
  readonly #evicted = new LRUCache<string, number>({ max: rememberedIds });

  constructor(
    private readonly limits: ResultStoreLimits = defaultResultStoreLimits,
    private readonly now: () => number = Date.now,
  ) {
    this.#results = new LRUCache({
      max: limits.maxResults,
      maxSize: limits.maxBytes,
      sizeCalculation: ({ stored }) => bytesOf(stored),
      // An entry is stale once it is older than this.
      ttl: limits.maxAgeMs - 1,
      // Adding a map does not extend the lifetime of a result.
      noUpdateTTL: true,
      // The clock is read on every access, so that results expire on time.
      ttlResolution: 0,
      perf: { now },
      dispose: ({ addedAt }, id, reason) => {
        if (reason === 'set') return;
        this.#evicted.set(id, reason === 'expire' ? addedAt + limits.maxAgeMs : this.now());
      },
    });
  }

  get size(): number {
    this.#results.purgeStale();
    return this.#results.size;
  }

  get bytes(): number {
    this.#results.purgeStale();
    return this.#results.calculatedSize;
  }

  add(stored: StoredResult): void {
    const { id } = stored.result;
    if (bytesOf(stored) <= this.limits.maxBytes) this.#results.set(id, { stored, addedAt: this.now() });
    else this.#evicted.set(id, this.now());
  }

  /** Adds a map to a result, if the result is still stored. */
  addMap({ result: { id } }: StoredResult, method: LocalizationMethod, map: LocalizationMap): void {
    const entry = this.#results.peek(id);
    if (!entry) return;
    const maps = new Map([...entry.stored.maps, [method, map]]);
    const stored = { ...entry.stored, maps };
    // A result that is too large with the map is kept without it.
    if (bytesOf(stored) <= this.limits.maxBytes) this.#results.set(id, { ...entry, stored });
  }

  /** @throws ProblemError `expired-result` or `unknown-result`. */
  get(id: string): StoredResult {
    const entry = this.#results.get(id);
    if (entry) return entry.stored;
    const goneAt = this.#evicted.get(id);
    if (goneAt === undefined) {
      throw new ProblemError(
        'unknown-result',
        `there is no result '${id}'; the response to a score request has the id`,
      );
    }
    const { maxAgeMs, maxResults } = this.limits;
    throw new ProblemError(
      'expired-result',
      `the result expired at ${new Date(goneAt).toISOString()}; results are kept for ${maxAgeMs / 1000} s, ` +
        `at most the last ${maxResults}; score the image again`,
    );
  }
}

function bytesOf({ image, maps }: StoredResult): number {
  const pixels = image instanceof Uint8Array ? image : image.pixels;
  let bytes = pixels.byteLength;
  for (const { values } of maps.values()) bytes += values.byteLength;
  return Math.max(1, bytes);
}
