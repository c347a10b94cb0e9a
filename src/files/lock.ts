/** A lock beside what a process writes, so that two do not write the same. */
import { open, readFile, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { makeFolder } from './folders.js';

/** Another process holds the lock. */
export class LockedError extends Error {
  override readonly name = 'LockedError';
}

/**
 * Does something while no other process does. A lock whose process has ended is taken over.
 * @param path of the thing that is written; the lock is a file beside it.
 * @throws LockedError
 */
export async function withLock<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  const lock = `${path}.lock`;
  await makeFolder(dirname(lock));
  await take(lock, path);
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}

async function take(lock: string, path: string): Promise<void> {
  for (;;) {
    try {
      const file = await open(lock, 'wx');
      await file.writeFile(`${process.pid} ${hostname()}\n`).finally(() => file.close());
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const holder = await holderOf(lock);
      // It has just been removed.
      if (!holder) continue;
      const { pid, host } = holder;
      const here = host === hostname();
      if (!here || isRunning(Number(pid))) {
        throw new LockedError(
          `process ${pid}${here ? '' : ` on ${host}`} is writing ${path}; wait for it, or remove ${lock} if it has ended`,
        );
      }
      await rm(lock, { force: true });
    }
  }
}

interface Holder {
  readonly pid: string;
  readonly host: string;
}

/** Reads who holds a lock, if there is one. The file is empty for a moment, after it was created. */
async function holderOf(lock: string): Promise<Holder | undefined> {
  for (let tries = 0; tries < 20; tries++) {
    const text = await readFile(lock, 'utf8').catch(() => undefined);
    if (text === undefined) return undefined;
    const [pid, host] = text.trim().split(' ');
    if (pid && host) return { pid, host };
    await wait(50);
  }
  return { pid: 'unknown', host: 'an unknown machine' };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
