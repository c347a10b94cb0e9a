/**
 * Following the folder of detectors. It is looked at again and again, since events of file systems do not come from all
 * of them, network shares for one; a detector is taken over once two looks in a row have found it the same.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { RepositoryLog } from './loader.js';
import type { DetectorRepository } from './repository.js';

/** @returns what ends it. */
export function watchRepository(
  repository: DetectorRepository,
  everyMs: number,
  log: RepositoryLog,
): () => void {
  const stopped = new AbortController();
  const taken = new Map<string, string>();
  const seen = new Map<string, string>();
  const look = async (first: boolean): Promise<void> => {
    for (const name of await repository.namesNow()) {
      if (stopped.signal.aborted) return;
      const signature = await repository.signature(name);
      const settled = seen.get(name) === signature;
      seen.set(name, signature);
      if (first) taken.set(name, signature);
      if (!settled || taken.get(name) === signature) continue;
      taken.set(name, signature);
      await repository.refresh(name);
    }
  };
  void (async () => {
    for (let first = true; !stopped.signal.aborted; first = false) {
      await look(first).catch((error: Error) => log.error({ reason: error.message }, 'detectors not read'));
      await wait(everyMs, undefined, { signal: stopped.signal, ref: false }).catch(() => undefined);
    }
  })();
  return () => stopped.abort();
}
