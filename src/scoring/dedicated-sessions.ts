/**
 * Sessions of one detector each. A session that many detectors share takes their weights as inputs; one that has them as
 * constants is a tenth faster, since the runtime lays constants out once, but holds an expert of its own. So the
 * detectors used most have one.
 */
import type { Scorer } from '../detector/index.js';
import type { RunResult, Session, Tensors } from '../runtime/index.js';

/** Images after which an earlier use counts half. */
const halfLife = 1000;

/**
 * Images a detector has to be used for before it takes a place that is free. Versions that come and go every second
 * would otherwise open and close sessions without end.
 */
const settledAfter = 50;

/** How many times more than another a detector has to be used, and how many images beyond that, to take its place. */
const clearlyMore = { times: 2, images: 200 } as const;

/** A detector by its inputs: one that is unloaded and loaded again is another one here. */
type Owner = Pick<Scorer, 'feeds'>;

interface Dedicated {
  readonly session: Promise<Session>;
  /** Runs under way. */
  readonly runs: Set<Promise<unknown>>;
}

interface Use {
  readonly images: number;
  /** Images of all detectors until then. */
  readonly at: number;
}

export class DedicatedSessions {
  readonly #sessions = new Map<Tensors, Dedicated>();
  readonly #uses = new WeakMap<Tensors, Use>();
  #images = 0;
  #swapping = false;

  /**
   * @param most how many there are at most.
   * @param open makes a session of one detector.
   */
  constructor(
    private readonly most: number,
    private readonly open: (scorer: Scorer) => Promise<Session>,
  ) {}

  has({ feeds }: Owner): boolean {
    return this.#sessions.has(feeds);
  }

  /** Gives a detector a session of its own at once, if nothing has run yet and nobody waits for it. */
  async claimFirst(scorer: Scorer): Promise<void> {
    if (this.#images === 0) await this.claim(scorer);
  }

  /** Gives a detector a session of its own while there is room. */
  async claim(scorer: Scorer): Promise<void> {
    const { feeds } = scorer;
    if (this.#sessions.size >= this.most || this.#sessions.has(feeds)) return;
    const session = this.open(scorer);
    this.#sessions.set(feeds, { session, runs: new Set() });
    try {
      await session;
    } catch (error) {
      this.#sessions.delete(feeds);
      throw error;
    }
  }

  /**
   * Runs the session of a detector. One that is used clearly more than another takes over its place, in time.
   * @param images in this run.
   * @returns undefined where the detector has no session of its own.
   */
  async run(scorer: Scorer, images: number, inputs: Tensors): Promise<RunResult | undefined> {
    if (this.most === 0) return undefined;
    const { feeds } = scorer;
    this.#images += images;
    this.#uses.set(feeds, { images: this.#usesOf(feeds) + images, at: this.#images });
    const dedicated = this.#sessions.get(feeds);
    if (!dedicated) {
      this.#swapFor(scorer);
      return undefined;
    }
    const session = await dedicated.session.catch(() => undefined);
    // It may have been ended meanwhile.
    if (!session || this.#sessions.get(feeds) !== dedicated) return undefined;
    const run = session.run(inputs);
    dedicated.runs.add(run);
    try {
      return await run;
    } finally {
      dedicated.runs.delete(run);
    }
  }

  /** Ends the session of a detector, once what runs has ended. */
  async release({ feeds }: Owner): Promise<void> {
    const dedicated = this.#sessions.get(feeds);
    this.#sessions.delete(feeds);
    if (!dedicated) return;
    await Promise.allSettled(dedicated.runs);
    await (await dedicated.session.catch(() => undefined))?.close();
  }

  async close(): Promise<void> {
    for (const feeds of [...this.#sessions.keys()]) await this.release({ feeds });
  }

  /** Images a detector was used for, those of long ago counting less. */
  #usesOf(feeds: Tensors): number {
    const { images, at } = this.#uses.get(feeds) ?? { images: 0, at: this.#images };
    return images * 0.5 ** ((this.#images - at) / halfLife);
  }

  /** Until its session is there, a detector goes on with the shared one. */
  #swapFor(scorer: Scorer): void {
    if (this.#swapping) return;
    const [least] = [...this.#sessions.keys()].sort((a, b) => this.#usesOf(a) - this.#usesOf(b));
    const full = least !== undefined && this.#sessions.size >= this.most;
    const enough = full ? clearlyMore.times * this.#usesOf(least) + clearlyMore.images : settledAfter;
    if (this.#usesOf(scorer.feeds) < enough) return;
    this.#swapping = true;
    const swap = async (): Promise<void> => {
      if (full) await this.release({ feeds: least });
      await this.claim(scorer);
    };
    // One that could not be opened is tried again at the next use.
    void swap()
      .catch(() => undefined)
      .finally(() => {
        this.#swapping = false;
      });
  }
}
