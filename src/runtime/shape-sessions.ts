/**
 * One model as several sessions on CUDA, where onnxruntime prepares every convolution anew whenever the shape of its
 * input differs from the run before: 150 to 600 ms where the run itself takes 2 to 10 (measured on an H200). So inputs of
 * one set of shapes have a session of their own, and those of the latest few sets are kept.
 */
import type { BlockingSession } from './onnxruntime.js';
import type { Tensors } from './tensor.js';

/** Sets of shapes that have a session each. */
const mostSets = 4;

export class ShapeSessions implements BlockingSession {
  /** By the shapes of what differs from run to run, the longest unused first. */
  readonly #sessions = new Map<string, BlockingSession>();
  /** The first, until it is known for which shapes it is. */
  #unused: BlockingSession | undefined;

  private constructor(
    private readonly create: () => Promise<BlockingSession>,
    first: BlockingSession,
  ) {
    this.#unused = first;
  }

  /** @param create makes a session of the model; what it throws is thrown here too. */
  static async open(create: () => Promise<BlockingSession>): Promise<ShapeSessions> {
    return new ShapeSessions(create, await create());
  }

  async run(feeds: Tensors, constants?: Tensors): Promise<Tensors> {
    const key = JSON.stringify(Object.entries(feeds).map(([name, { dims }]) => [name, dims]));
    const session = this.#sessions.get(key) ?? this.#unused ?? (await this.create());
    this.#unused = undefined;
    this.#sessions.delete(key);
    this.#sessions.set(key, session);
    const [oldest] = this.#sessions;
    if (this.#sessions.size > mostSets && oldest) {
      this.#sessions.delete(oldest[0]);
      await oldest[1].release();
    }
    return session.run(feeds, constants);
  }

  async release(): Promise<void> {
    const sessions = [...(this.#unused ? [this.#unused] : []), ...this.#sessions.values()];
    this.#unused = undefined;
    this.#sessions.clear();
    for (const session of sessions) await session.release();
  }
}
