/** A lock beside what a process writes, so that two do not write the same. */
import { open, readFile, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { makeFolder } from './folders.js';
import { isRunning } from './processes.js';

/** Another process holds the lock. */
export class LockedError extends Error {
  override readonly name = 'LockedError';
}

export interface Lock {
  release(): Promise<void>;
}

/** Whoever holds a lock touches it so often. */
const touchEveryMs = 5000;

/** A lock of another machine that nobody has touched for so long is taken over. */
const lostAfterMs = 60_000;

/** Locks of this process. In a container each process that follows another may have its number. */
const own = new Set<string>();

/**
 * Does something while no other process does.
 * @param path of the thing that is written; the lock is a file beside it.
 * @throws LockedError
 */
export async function withLock<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  const lock = await takeLock(path);
  try {
    return await work();
  } finally {
    await lock.release();
  }
}

/** Takes a lock. One whose process or machine has ended is taken over. @throws LockedError */
export async function takeLock(path: string): Promise<Lock> {
  const file = `${path}.lock`;
  await makeFolder(dirname(file));
  await create(file, path);
  own.add(file);
  const touching = setInterval(() => {
    const now = new Date();
    utimes(file, now, now).catch(() => undefined);
  }, touchEveryMs).unref();
  return {
    release: async () => {
      clearInterval(touching);
      own.delete(file);
      await rm(file, { force: true });
    },
  };
}

async function create(file: string, path: string): Promise<void> {
  for (;;) {
    try {
      const created = await open(file, 'wx');
      await created.writeFile(`${process.pid} ${hostname()}\n`).finally(() => created.close());
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const holder = await holderOf(file);
      // It has just been removed.
      if (!holder) continue;
      const { pid, host, isAlive } = holder;
      if (isAlive) {
        const where = host === hostname() ? '' : ` on ${host}`;
        throw new LockedError(
          `process ${pid}${where} is writing ${path}; wait for it, or remove ${file} if it has ended`,
        );
      }
      await rm(file, { force: true });
    }
  }
}

interface Holder {
  readonly pid: string;
  readonly host: string;
  readonly isAlive: boolean;
}

/** Reads who holds a lock, if there is one. The file is empty for a moment, after it was created. */
async function holderOf(file: string): Promise<Holder | undefined> {
  for (let tries = 0; tries < 20; tries++) {
    const [text, status] = await Promise.all([readFile(file, 'utf8'), stat(file)]).catch(() => []);
    if (text === undefined || !status) return undefined;
    const [pid, host] = text.trim().split(' ');
    if (pid && host) {
      const isAlive =
        host === hostname() ? isHere(Number(pid), file) : Date.now() - status.mtimeMs < lostAfterMs;
      return { pid, host, isAlive };
    }
    await wait(50);
  }
  return { pid: 'unknown', host: 'an unknown machine', isAlive: true };
}

function isHere(pid: number, file: string): boolean {
  return pid === process.pid ? own.has(file) : isRunning(pid);
}
