/** A job in the memory of its service. */
import type { Lock } from '../files/lock.js';
import type { Job, JobRecord } from './job.js';
import type { JobFolder } from './job-folder.js';
import { hasEnded } from './states.js';

/** Called with a job whenever it changes; with undefined when the service stops. */
export type JobListener = (job: Job | undefined) => void;

/** A job of this service. */
export interface Entry {
  record: JobRecord;
  readonly folder: JobFolder;
  /** Tells other services on the same disk whose job it is, until it has ended. */
  lock?: Lock;
  /** Bytes of its photos. */
  bytes: number;
  readonly listeners: Set<JobListener>;
  /** Photos are added one after another: each is compared with those before it. */
  adding: Promise<unknown>;
}

export function entryOf(record: JobRecord, folder: JobFolder, bytes = 0): Entry {
  return { record, folder, bytes, listeners: new Set(), adding: Promise.resolve() };
}

/** Takes over a job that was left. @throws LockedError if another service has it; Error if it cannot be read. */
export async function adopted(folder: JobFolder): Promise<Entry> {
  const left = await folder.read();
  if (hasEnded(left)) return entryOf(left, folder);
  const lock = await folder.lock();
  try {
    // Whoever had it may have changed it until the lock was taken.
    const record = await folder.read();
    // What was running is made again from its photos: that takes seconds.
    if (record.state === 'running') record.state = 'waiting';
    return Object.assign(entryOf(record, folder, await folder.bytes()), { lock });
  } catch (error) {
    await lock.release();
    throw error;
  }
}
