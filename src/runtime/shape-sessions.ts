/**
 * One model as several sessions on CUDA. There onnxruntime prepares every convolution anew whenever the shape of its
 * input differs from the run before: 150 to 600 ms, where the run itself takes 2 to 10 (measured on an H200). So each set
 * of input shapes has a session of its own, a few of which are kept.
 */
import { LRUCache } from 'lru-cache';
import type { BlockingSession } from './onnxruntime.js';
import type { Tensors } from './tensor.js';

/** Sets of shapes that have a session each. */
const mostSets = 4;

export class ShapeSessions implements BlockingSession {
  /** By the shapes of the inputs that change from run to run. */
  readonly #sessions = new LRUCache<string, BlockingSession>({
    max: mostSets,
    dispose: (session, _key, reason) => {
      if (reason === 'evict') this.#released.push(session);
    },
  });
  /** Evicted, not yet released. */
  readonly #released: BlockingSession[] = [];
  /** The first session, until its shapes are known. */
  #unused: BlockingSession | undefined;

  private constructor(
    private readonly create: () => Promise<BlockingSession>,
    first: BlockingSession,
  ) {
    this.#unused = first;
  }

  /** @param create opens a session of the model; what it throws is thrown here too. */
  static async open(create: () => Promise<BlockingSession>): Promise<ShapeSessions> {
    return new ShapeSessions(create, await create());
  }

  async run(feeds: Tensors, constants?: Tensors): Promise<Tensors> {
    const key = JSON.stringify(Object.entries(feeds).map(([name, { dims }]) => [name, dims]));
    const session = this.#sessions.get(key) ?? this.#unused ?? (await this.create());
    this.#unused = undefined;
    this.#sessions.set(key, session);
    for (const evicted of this.#released.splice(0)) await evicted.release();
    return session.run(feeds, constants);
  }

  async release(): Promise<void> {
    const sessions = [...(this.#unused ? [this.#unused] : []), ...this.#sessions.values()];
    this.#unused = undefined;
    this.#sessions.clear();
    for (const session of sessions) await session.release();
  }
}
