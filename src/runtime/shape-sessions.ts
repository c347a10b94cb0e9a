/**
 * Several sessions of one model on CUDA. There, onnxruntime prepares every convolution again whenever its input shape
 * differs from the previous run. This takes 150 to 600 ms; the run itself takes 2 to 10 ms (measured on an H200). So
 * each set of input shapes has its own session, and a few of them are kept.
 */
import { LRUCache } from 'lru-cache';
import type { BlockingSession } from './onnxruntime.js';
import type { Tensors } from './tensor.js';

/** Maximum number of sessions, one for each set of shapes. */
const maxSessions = 4;

export class ShapeSessions implements BlockingSession {
  /** Keyed by the shapes of the non-constant inputs. */
  readonly #sessions = new LRUCache<string, BlockingSession>({
    max: maxSessions,
    dispose: (session, _key, reason) => {
      if (reason === 'evict') this.#released.push(session);
    },
  });
  /** Evicted sessions, not yet released. */
  readonly #released: BlockingSession[] = [];
  /** The first session, until its first run. */
  #unused: BlockingSession | undefined;

  private constructor(
    private readonly create: () => Promise<BlockingSession>,
    first: BlockingSession,
  ) {
    this.#unused = first;
  }

  /** Opens the first session. @param create opens a session of the model; its errors are passed on. */
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
