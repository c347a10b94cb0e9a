/**
 * Polls the folder of detectors, because some file systems, such as network shares, send no events. A changed detector
 * is read once two polls in a row have found the same files.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { RepositoryLog } from './loader.js';
import type { DetectorRepository } from './repository.js';

/** How often detectors are looked at. */
export const defaultWatchEveryMs = 2000;

/** @returns a function that stops it. */
export function watchRepository(
  repository: DetectorRepository,
  everyMs: number,
  log: RepositoryLog,
): () => void {
  const stopped = new AbortController();
  const applied = new Map<string, string>();
  const seen = new Map<string, string>();
  const poll = async (first: boolean): Promise<void> => {
    for (const name of await repository.listNames()) {
      if (stopped.signal.aborted) return;
      const signature = await repository.signature(name);
      const settled = seen.get(name) === signature;
      seen.set(name, signature);
      if (first) applied.set(name, signature);
      if (!settled || applied.get(name) === signature) continue;
      applied.set(name, signature);
      await repository.refresh(name).catch((error: Error) => {
        applied.delete(name);
        log.error(
          { detector: name, reason: error.message },
          'detector cannot be refreshed; it is tried again',
        );
      });
    }
  };
  void (async () => {
    for (let first = true; !stopped.signal.aborted; first = false) {
      await poll(first).catch((error: Error) =>
        log.error({ reason: error.message }, 'the folder of detectors cannot be read'),
      );
      await wait(everyMs, undefined, { signal: stopped.signal, ref: false }).catch(() => undefined);
    }
  })();
  return () => stopped.abort();
}
