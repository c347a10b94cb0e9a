/**
 * Sessions of one detector each. A shared session takes the detectors' weights as inputs. A session with weights as
 * constants is 10 % faster, because the runtime lays out constants once, but it holds its own expert. So only the most
 * used detectors have one.
 */
import type { Scorer } from '../detector/index.js';
import type { Feeds, RunResult, Session, Tensors } from '../runtime/index.js';

/** Images after which an earlier use counts half. */
const halfLife = 1000;

/**
 * Images that a detector must score before it takes a free place. Otherwise, versions that change every second would
 * open and close sessions all the time.
 */
const minImages = 50;

/** To take another detector's place, a detector needs this many times its use and this many more images. */
const takeoverMargin = { times: 2, images: 200 } as const;

/** A detector by its inputs: unloaded and loaded again, it is a different one here. */
type Owner = Pick<Scorer, 'feeds'>;

interface Dedicated {
  readonly session: Promise<Session>;
  /** Runs in progress. */
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
  /** Detectors that have left memory: a run that is still going on must not open a session for one. */
  readonly #released = new WeakSet<Tensors>();
  #images = 0;
  #swapping = false;

  /**
   * @param most number of sessions.
   * @param open opens a session of one detector.
   */
  constructor(
    private readonly most: number,
    private readonly open: (scorer: Scorer) => Promise<Session>,
  ) {}

  has({ feeds }: Owner): boolean {
    return this.#sessions.has(feeds);
  }

  /** Opens a dedicated session right away if nothing has run yet, so that no request waits for it. */
  async claimIfIdle(scorer: Scorer): Promise<void> {
    if (this.#images === 0) await this.claim(scorer);
  }

  /** Opens a dedicated session if there is room. */
  async claim(scorer: Scorer): Promise<void> {
    const { feeds } = scorer;
    if (this.#released.has(feeds)) return;
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
   * Runs the session of a detector. A detector that is used clearly more than another takes its place after a while.
   * @param images in this run.
   * @returns undefined if the detector has no dedicated session.
   */
  async run(scorer: Scorer, images: number, inputs: Feeds): Promise<RunResult | undefined> {
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
    // It may have been closed in the meantime.
    if (!session || this.#sessions.get(feeds) !== dedicated) return undefined;
    const run = session.run(inputs);
    dedicated.runs.add(run);
    try {
      return await run;
    } finally {
      dedicated.runs.delete(run);
    }
  }

  /** Closes the session of a detector that leaves memory, after its runs have ended. */
  async release({ feeds }: Owner): Promise<void> {
    this.#released.add(feeds);
    await this.#close(feeds);
  }

  async close(): Promise<void> {
    for (const feeds of [...this.#sessions.keys()]) await this.#close(feeds);
  }

  async #close(feeds: Tensors): Promise<void> {
    const dedicated = this.#sessions.get(feeds);
    this.#sessions.delete(feeds);
    if (!dedicated) return;
    await Promise.allSettled(dedicated.runs);
    await (await dedicated.session.catch(() => undefined))?.close();
  }

  /** Returns how many images a detector has scored; older ones count less. */
  #usesOf(feeds: Tensors): number {
    const { images, at } = this.#uses.get(feeds) ?? { images: 0, at: this.#images };
    return images * 0.5 ** ((this.#images - at) / halfLife);
  }

  /** Until its session is open, a detector uses the shared one. */
  #swapFor(scorer: Scorer): void {
    if (this.#swapping || this.#released.has(scorer.feeds)) return;
    const [least] = [...this.#sessions.keys()].sort((a, b) => this.#usesOf(a) - this.#usesOf(b));
    const full = least !== undefined && this.#sessions.size >= this.most;
    const enough = full ? takeoverMargin.times * this.#usesOf(least) + takeoverMargin.images : minImages;
    if (this.#usesOf(scorer.feeds) < enough) return;
    this.#swapping = true;
    const swap = async (): Promise<void> => {
      if (full) await this.#close(least);
      await this.claim(scorer);
    };
    // A session that failed to open is tried again at the next use.
    void swap()
      .catch(() => undefined)
      .finally(() => {
        this.#swapping = false;
      });
  }
}
