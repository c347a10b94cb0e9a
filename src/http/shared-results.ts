/**
 * Results that the replicas of a service share, in Redis: whichever replica a request reaches has them. They expire there as
 * they do in memory.
 */
import { Redis } from 'ioredis';
import type { LocalizationMethod } from '../detector/index.js';
import type { ImageInput, LocalizationMap } from '../imaging/index.js';
import type { StoredResult } from './result-store.js';

/** How long a command may take: the client of a score does not wait for it, that of a picture does. */
const commandMs = 2000;

/** Longest pause between two attempts to connect. */
const retryMs = 2000;

/** Results on their way: a store that is slow must not fill the memory. */
const mostPendingBytes = 64 * 2 ** 20;

/** The fields of a result's hash. Maps are `map:<method>`: width and height as uint32, then float32, little-endian. */
const fields = { entry: 'entry', image: 'image', map: (method: string) => `map:${method}` } as const;

/** Width and height of a map. */
const headerBytes = 8;

/** What is stored as JSON. */
type Entry = Omit<StoredResult, 'image' | 'maps'> & {
  /** Of pixels that were sent decoded. */
  readonly pixels?: { readonly width: number; readonly height: number };
};

/** Adds a field only if the result has not expired: a field alone would stay for ever. */
const addToExisting = `if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end`;

export interface SharedResultsOptions {
  /** `redis://` or `rediss://` */
  readonly url: string;
  readonly maxAgeMs: number;
  /** Called when the store is lost or found again. */
  readonly onChange?: (change: { readonly reachable: boolean; readonly reason?: string }) => void;
  /** Called for each result or map that could not be stored. */
  readonly onError?: (error: Error) => void;
}

export class SharedResults {
  readonly #redis: Redis;
  #pendingBytes = 0;
  #reachable: boolean | undefined;

  constructor(private readonly options: SharedResultsOptions) {
    this.#redis = new Redis(options.url, {
      connectTimeout: commandMs,
      commandTimeout: commandMs,
      // A score never waits for a store that is down.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      retryStrategy: (attempt) => Math.min(50 * 2 ** attempt, retryMs),
    });
    this.#redis.on('error', (error: Error) => this.#changed(false, error.message));
    this.#redis.on('ready', () => this.#changed(true));
    this.#redis.on('close', () => this.#changed(false, 'the connection was closed'));
  }

  /** Stores a result. Errors are reported, not thrown. */
  save({ image, maps, ...entry }: StoredResult): void {
    const pixels =
      image instanceof Uint8Array ? {} : { pixels: { width: image.width, height: image.height } };
    const { buffer, byteOffset, byteLength } = image instanceof Uint8Array ? image : image.pixels;
    const bytes = Buffer.from(buffer, byteOffset, byteLength);
    const hash = new Map<string, string | Buffer>([
      [fields.entry, JSON.stringify({ ...entry, ...pixels } satisfies Entry)],
      [fields.image, bytes],
      ...[...maps].map(([method, map]) => [fields.map(method), encodeMap(map)] as const),
    ]);
    const key = keyOf(entry.result.id);
    this.#store(bytes.length, async () => {
      const replies = await this.#redis.multi().hset(key, hash).pexpire(key, this.options.maxAgeMs).exec();
      for (const [error] of replies ?? []) if (error) throw error;
    });
  }

  /** Adds a map to a stored result. Errors are reported, not thrown. */
  saveMap(id: string, method: LocalizationMethod, map: LocalizationMap): void {
    const bytes = encodeMap(map);
    this.#store(bytes.length, () => this.#redis.eval(addToExisting, 1, keyOf(id), fields.map(method), bytes));
  }

  /** Returns a result, if it is there. @throws Error if the store cannot be reached. */
  async find(id: string): Promise<StoredResult | undefined> {
    const hash = await this.#redis.hgetallBuffer(keyOf(id));
    const [json, image] = [hash[fields.entry], hash[fields.image]];
    if (!json || !image) return undefined;
    const { pixels, ...entry } = JSON.parse(json.toString()) as Entry;
    const maps = Object.entries(hash).flatMap(([field, bytes]) =>
      field.startsWith(fields.map(''))
        ? [[field.slice(fields.map('').length) as LocalizationMethod, decodeMap(bytes)] as const]
        : [],
    );
    return { ...entry, image: imageOf(image, pixels), maps: new Map(maps) };
  }

  async close(): Promise<void> {
    // What was scored last is still stored.
    await this.#redis.quit().catch(() => this.#redis.disconnect());
  }

  #store(bytes: number, command: () => Promise<unknown>): void {
    const { onError } = this.options;
    if (this.#pendingBytes + bytes > mostPendingBytes) {
      onError?.(new Error('the store of results is slower than the results come'));
      return;
    }
    this.#pendingBytes += bytes;
    command()
      .catch((error: unknown) => onError?.(error as Error))
      .finally(() => {
        this.#pendingBytes -= bytes;
      });
  }

  #changed(reachable: boolean, reason?: string): void {
    if (this.#reachable === reachable || this.#redis.status === 'end') return;
    this.#reachable = reachable;
    this.options.onChange?.({ reachable, ...(reason === undefined ? {} : { reason }) });
  }
}

function keyOf(id: string): string {
  return `mkd:result:${id}`;
}

function imageOf(bytes: Buffer, pixels: Entry['pixels']): ImageInput {
  return pixels ? { ...pixels, pixels: bytes } : bytes;
}

function encodeMap({ width, height, values }: LocalizationMap): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32LE(width, 0);
  header.writeUInt32LE(height, 4);
  // Every processor that onnxruntime-node runs on is little-endian.
  return Buffer.concat([header, Buffer.from(values.buffer, values.byteOffset, values.byteLength)]);
}

function decodeMap(bytes: Buffer): LocalizationMap {
  const entries = Uint8Array.from(bytes.subarray(headerBytes));
  return {
    width: bytes.readUInt32LE(0),
    height: bytes.readUInt32LE(4),
    values: new Float32Array(entries.buffer),
  };
}
