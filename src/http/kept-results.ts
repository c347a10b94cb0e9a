/** Recent results: in memory, and in a store that all replicas share if there is one. */
import type { LocalizationMethod } from '../detector/index.js';
import type { LocalizationMap } from '../imaging/index.js';
import { ProblemError } from './plugins/problems.js';
import type { ResultStore, StoredResult } from './result-store.js';
import type { SharedResults } from './shared-results.js';

export class KeptResults {
  constructor(
    private readonly own: ResultStore,
    private readonly shared?: SharedResults | undefined,
  ) {}

  add(stored: StoredResult): void {
    this.own.add(stored);
    this.shared?.save(stored);
  }

  /** Adds a map to a result, if the result is still kept. */
  addMap(stored: StoredResult, method: LocalizationMethod, map: LocalizationMap): void {
    this.own.addMap(stored, method, map);
    this.shared?.saveMap(stored.result.id, method, map);
  }

  /** @throws ProblemError `expired-result`, `unknown-result`; `results-unreachable` if only the shared store could know it. */
  async get(id: string): Promise<StoredResult> {
    try {
      return this.own.get(id);
    } catch (error) {
      const found = await this.shared?.find(id).catch(() => {
        throw new ProblemError(
          'results-unreachable',
          `this replica has no result '${id}', and the store that the replicas share does not answer; try again`,
          1,
        );
      });
      if (found) return found;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.shared?.close();
  }
}
