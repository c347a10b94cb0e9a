/** A bounded number of sessions: the least recently used one is closed after its runs have ended. */
import { LRUCache } from 'lru-cache';
import type { RunResult, Session } from '../runtime/index.js';

interface Entry {
  readonly session: Promise<Session>;
  readonly runs: Set<Promise<unknown>>;
}

export class SessionCache {
  readonly #entries: LRUCache<string, Entry>;

  /** @param most number of sessions that stay open. */
  constructor(most: number) {
    this.#entries = new LRUCache({ max: most, dispose: (entry) => void close(entry).catch(() => undefined) });
  }

  /** Runs the session of a key, and opens it if there is none. */
  async run(
    key: string,
    open: () => Promise<Session>,
    run: (session: Session) => Promise<RunResult>,
  ): Promise<RunResult> {
    const entry = this.#entries.get(key) ?? this.#add(key, open());
    const running = entry.session.then(run);
    entry.runs.add(running);
    try {
      return await running;
    } finally {
      entry.runs.delete(running);
    }
  }

  /** Closes all sessions. */
  async clear(): Promise<void> {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    await Promise.allSettled(entries.map(close));
  }

  #add(key: string, session: Promise<Session>): Entry {
    const entry = { session, runs: new Set<Promise<unknown>>() };
    this.#entries.set(key, entry);
    session.catch(() => {
      if (this.#entries.peek(key) === entry) this.#entries.delete(key);
    });
    return entry;
  }
}

async function close({ session, runs }: Entry): Promise<void> {
  const opened = await session;
  await Promise.allSettled(runs);
  await opened.close();
}
