/**
 * Detectors in an S3-compatible bucket: each replica keeps a copy of them in a folder of its own, and brings it up to date
 * every few seconds. The bucket is the only place where they change.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, isAbsolute, join, normalize } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import pLimit from 'p-limit';
import { DetectorError } from '../detector/index.js';
import { describeError } from '../files/explain.js';
import { isRunning } from '../files/processes.js';
import { isObject, Storage } from '../files/storage.js';
import type { RepositoryLog } from './loader.js';

/** Objects that are fetched at once. */
const fetchedAtOnce = 8;

/** Where detectors are on this machine. */
export interface DetectorSource {
  readonly folder: string;
  /** The bucket that they come from; they cannot be changed here. */
  readonly bucket: string | undefined;
  close(): Promise<void>;
}

/**
 * Returns a folder of detectors, or copies those of a bucket to one and follows its changes.
 * @param detectors a folder, or `s3://bucket/prefix`.
 * @throws DetectorError if the bucket cannot be read.
 */
export async function openDetectorSource(
  detectors: string,
  everyMs: number,
  log: RepositoryLog,
): Promise<DetectorSource> {
  if (!isObject(detectors)) return { folder: detectors, bucket: undefined, close: async () => {} };
  await removeLeft();
  const folder = await mkdtemp(join(tmpdir(), `${copyPrefix}${process.pid}-`));
  own.add(basename(folder));
  const mirror = new BucketMirror(`${detectors.replace(/\/+$/, '')}/`, folder);
  const close = async (): Promise<void> => {
    await mirror.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const { changed } = await mirror.update();
    log.info({ bucket: detectors, files: changed }, 'detectors copied from the bucket');
  } catch (error) {
    await close();
    throw new DetectorError(`the detectors in ${detectors} cannot be read: ${describeError(error)}`);
  }
  const stopped = new AbortController();
  const following = everyMs > 0 ? follow(mirror, everyMs, stopped.signal, log) : Promise.resolve();
  return {
    folder,
    bucket: detectors,
    close: async () => {
      stopped.abort();
      await following;
      await close();
    },
  };
}

const copyPrefix = 'mkd-detectors-';

/** Copies of this process. */
const own = new Set<string>();

/** Removes copies of processes that have ended: a container that starts again keeps its temporary files. */
async function removeLeft(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(copyPrefix) || own.has(name)) continue;
    const pid = Number.parseInt(name.slice(copyPrefix.length), 10);
    // In a container each process that follows another may have its number.
    if (pid !== process.pid && isRunning(pid)) continue;
    await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}

async function follow(
  mirror: BucketMirror,
  everyMs: number,
  signal: AbortSignal,
  log: RepositoryLog,
): Promise<void> {
  let told = '';
  while (!signal.aborted) {
    await wait(everyMs, undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const { changed, removed } = await mirror.update();
      if (told !== '') log.info({}, 'the bucket can be read again');
      told = '';
      if (changed + removed > 0) log.info({ changed, removed }, 'detectors of the bucket changed');
    } catch (error) {
      const reason = describeError(error);
      if (reason !== told) log.warn({ reason }, 'the bucket cannot be read; the detectors stay as they are');
      told = reason;
    }
  }
}

class BucketMirror {
  readonly #storage = new Storage();
  /** What was copied, by path, with what changes when it changes. */
  readonly #copied = new Map<string, string>();

  constructor(
    private readonly prefix: string,
    private readonly folder: string,
  ) {}

  /** Copies what has changed, and removes what is gone. */
  async update(): Promise<{ readonly changed: number; readonly removed: number }> {
    const objects = await this.#storage.list(this.prefix);
    // A prefix that is suddenly empty is more often a mistake than a wish.
    if (objects.length === 0 && this.#copied.size > 0) throw new Error('there are no files in it any more');
    const wanted = new Map(
      objects
        .map(
          ({ reference, tag }) =>
            [normalize(reference.slice(this.prefix.length)), { reference, tag }] as const,
        )
        .filter(([path]) => !isAbsolute(path) && !path.startsWith('..')),
    );
    const changed = [...wanted].filter(([path, { tag }]) => this.#copied.get(path) !== tag);
    const limit = pLimit(fetchedAtOnce);
    await Promise.all(
      changed.map(([path, { reference, tag }]) =>
        limit(async () => {
          await this.#storage.write(join(this.folder, path), await this.#storage.read(reference));
          this.#copied.set(path, tag);
        }),
      ),
    );
    const gone = [...this.#copied.keys()].filter((path) => !wanted.has(path));
    for (const path of gone) {
      await rm(join(this.folder, path), { force: true });
      this.#copied.delete(path);
    }
    return { changed: changed.length, removed: gone.length };
  }

  close(): Promise<void> {
    return this.#storage.close();
  }
}
