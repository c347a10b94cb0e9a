/**
 * Sessions of one detector each. A session that many detectors share takes their weights as inputs; one that has them as
 * constants is a tenth faster, since the runtime lays constants out once, but holds an expert of its own. So the
 * detectors used most have one.
 */
import type { ConstantTensor } from '../onnx/index.js';
import type { Session, Tensors } from '../runtime/index.js';
import type { Scorer } from './loaded-detector.js';

/** Images after which an earlier use counts half. */
const halfLife = 1000;

/** How many times more than another a detector has to be used, and how many images beyond that, to take its place. */
const clearlyMore = { times: 2, images: 200 } as const;

interface Use {
  readonly images: number;
  /** Images of all detectors until then. */
  readonly at: number;
}

export class DedicatedSessions {
  /** By the inputs of a detector: it may be unloaded and loaded again, which makes it another one here. */
  readonly #sessions = new Map<Tensors, Promise<Session>>();
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

  has({ feeds }: Scorer): boolean {
    return this.#sessions.has(feeds);
  }

  /** Gives a detector a session of its own while there is room. */
  async claim(scorer: Scorer): Promise<void> {
    if (this.#sessions.size >= this.most || this.#sessions.has(scorer.feeds)) return;
    await this.#open(scorer);
  }

  /**
   * The session of a detector, if it has one; another gives way in time if it is used less.
   * @param images it is used for now.
   */
  async of(scorer: Scorer, images: number): Promise<Session | undefined> {
    if (this.most === 0) return undefined;
    const { feeds } = scorer;
    this.#images += images;
    this.#uses.set(feeds, { images: this.#usesOf(feeds) + images, at: this.#images });
    if (!this.#sessions.has(feeds)) this.#swapFor(scorer);
    return this.#sessions.get(feeds)?.catch(() => undefined);
  }

  async close(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const session of sessions) await (await session.catch(() => undefined))?.close();
  }

  /** Images a detector was used for, those of long ago counting less. */
  #usesOf(feeds: Tensors): number {
    const { images, at } = this.#uses.get(feeds) ?? { images: 0, at: this.#images };
    return images * 0.5 ** ((this.#images - at) / halfLife);
  }

  /** Until its session is there, a detector goes on with the shared one. */
  #swapFor(scorer: Scorer): void {
    if (this.#swapping || this.#sessions.size < this.most) return;
    const [least] = [...this.#sessions.keys()].sort((a, b) => this.#usesOf(a) - this.#usesOf(b));
    if (!least) return;
    const enough = clearlyMore.times * this.#usesOf(least) + clearlyMore.images;
    if (this.#usesOf(scorer.feeds) < enough) return;
    this.#swapping = true;
    const given = this.#sessions.get(least);
    this.#sessions.delete(least);
    // The worker does what it is asked in turn: runs that were sent before end before the session does.
    void given
      ?.then((session) => session.close())
      .catch(() => undefined)
      .then(() => this.claim(scorer).catch(() => undefined))
      .finally(() => {
        this.#swapping = false;
      });
  }

  #open(scorer: Scorer): Promise<Session> {
    const opening = this.open(scorer);
    this.#sessions.set(scorer.feeds, opening);
    opening.catch(() => this.#sessions.delete(scorer.feeds));
    return opening;
  }
}

/** The inputs of a detector as constants of a model. */
export function asConstants(feeds: Tensors): Record<string, ConstantTensor> {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, { type, dims, data }]) => [
      name,
      { type, shape: dims, data } as ConstantTensor,
    ]),
  );
}
