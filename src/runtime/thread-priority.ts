/**
 * Priority of threads. Inference keeps every core busy; the event loop, and the helper threads that collect its garbage,
 * need a core only now and then, but at once.
 */
import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { basename } from 'node:path';

/** A niceness: of two threads that both want a core, this one gets a quarter. */
const background = 5;

/**
 * Lets the other threads of the process go first, before the calling one and those that it starts from now on. Without
 * effect where only whole processes have a priority (macOS, Windows).
 */
export function letOthersGoFirst(): void {
  if (process.platform !== 'linux') return;
  // In a worker thread, the process's number is that of the main thread.
  const thread = Number(basename(readlinkSync('/proc/thread-self')));
  setPriority(thread, background);
}
