/** What was scored lately: bounded in number, bytes and time. The oldest goes first. */
import type { LocalizationMethod } from '../detector/index.js';
import { type LocalizationMap, mapEntries, type TileGrid } from '../imaging/index.js';
import { ProblemError } from './problems.js';
import type { Result } from './schemas.js';

export interface StoredResult {
  readonly detectorName: string;
  /** Of the detector, which itself is not kept: there may be a thousand of them. */
  readonly version: string;
  /** The detector's own localization method. */
  readonly localization: LocalizationMethod;
  readonly result: Result;
  readonly grid: TileGrid;
  /** The image as it came, so that maps can be computed when asked for. */
  readonly image: Uint8Array;
  /** By {@link mapKey}. */
  readonly maps: Map<string, LocalizationMap>;
}

/** A localization map of an image: how it is made, and of which layer if of one alone. */
export interface MapRequest {
  readonly method: LocalizationMethod;
  readonly layer?: string | undefined;
}

/**
 * What a request asks for; a layer's map is its discrepancy map.
 * @param localization the detector's own method.
 */
export function mapRequest(
  { method, layer }: { readonly method?: LocalizationMethod; readonly layer?: string },
  localization: LocalizationMethod,
): MapRequest {
  return { method: method ?? (layer === undefined ? localization : 'discrepancy'), layer };
}

export function mapKey({ method, layer }: MapRequest): string {
  return layer === undefined ? method : `${method}/${layer}`;
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

/** Ids that are remembered after their result has gone, to tell expired from never seen. */
const rememberedIds = 10_000;

export class ResultStore {
  // A Map keeps the order of insertion: the first entry is the oldest.
  readonly #entries = new Map<string, { stored: StoredResult; at: number; bytes: number }>();
  readonly #gone = new Map<string, number>();
  #bytes = 0;

  constructor(
    private readonly limits: ResultStoreLimits = defaultResultStoreLimits,
    private readonly now: () => number = Date.now,
  ) {}

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(stored: StoredResult): void {
    // Room for one map of each method, which may be computed later.
    const bytes = stored.image.byteLength + 3 * 4 * mapEntries(stored.grid);
    this.#entries.set(stored.result.id, { stored, at: this.now(), bytes });
    this.#bytes += bytes;
    this.#evict();
  }

  /** @throws ProblemError `expired-result` or `unknown-result`. */
  get(id: string): StoredResult {
    this.#evict();
    const entry = this.#entries.get(id);
    if (entry) return entry.stored;
    const goneAt = this.#gone.get(id);
    if (goneAt === undefined) {
      throw new ProblemError(
        'unknown-result',
        `there is no result '${id}'; ids come with the answer to a score`,
      );
    }
    const { maxAgeMs, maxResults } = this.limits;
    throw new ProblemError(
      'expired-result',
      `the result expired at ${new Date(goneAt).toISOString()}; results are kept for ${maxAgeMs / 1000} s, ` +
        `the last ${maxResults} of them at most; score the image again`,
    );
  }

  #evict(): void {
    const now = this.now();
    for (const [id, { at, bytes }] of this.#entries) {
      const tooMany = this.#entries.size > this.limits.maxResults || this.#bytes > this.limits.maxBytes;
      const tooOld = at + this.limits.maxAgeMs <= now;
      if (!tooMany && !tooOld) return;
      this.#entries.delete(id);
      this.#bytes -= bytes;
      this.#gone.set(id, tooOld ? at + this.limits.maxAgeMs : now);
      const [oldest] = this.#gone.keys();
      if (this.#gone.size > rememberedIds && oldest !== undefined) this.#gone.delete(oldest);
    }
  }
}
