/**
 * Dynamic batching. Requests arrive one by one; a device is cheapest when it works on several at once. The batcher keeps
 * waiting items in lanes, one for each kind of work that may share a batch. Whenever the device is free it starts the next
 * batch: of all lanes whose batch is full, or whose oldest item has waited long enough, it takes the least recently
 * served one. A busy device needs no delay to fill batches, because items gather while it works; the delay matters only
 * when the device is idle.
 *
 * The batcher does not know what it batches, and reads time from a clock that is passed in.
 */
import type { BatchSizes } from './batch-sizes.js';
import type { Clock } from './clock.js';

export interface LaneLimits {
  /** How many items make a batch. */
  readonly sizes: BatchSizes;
  /** How long an item may wait for others while the device is idle. */
  readonly maxQueueDelayMs: number;
  /** Items that may wait in the lane; more are refused. */
  readonly maxQueueLength: number;
}

export interface BatcherOptions<Item, Result> {
  readonly limits: (lane: string) => LaneLimits;
  /** Works on a batch of one lane. @returns a result for each item, in order. */
  readonly run: (lane: string, items: readonly Item[]) => Promise<readonly Result[]>;
  /** Batches at once; default 1. */
  readonly concurrency?: number;
  readonly clock: Clock;
  /** Called when a batch starts, with its lane, its size, and how many items still wait in the lane. */
  readonly onBatch?: (lane: string, size: number, waiting: number) => void;
}

export interface SubmitOptions {
  /** Drops the item, if it still waits, when its client disconnects. */
  readonly signal?: AbortSignal | undefined;
  /** Time of the clock after which the result is not needed: the item is dropped, if it still waits. */
  readonly deadlineMs?: number | undefined;
}

export interface Batched<Result> {
  readonly result: Result;
  /** Time between being submitted and its batch's start. */
  readonly queueMs: number;
}

/** The lane is full. */
export class QueueFullError extends Error {
  override readonly name = 'QueueFullError';

  constructor(
    readonly waiting: number,
    /** When there will be room, estimated from the recent rate. */
    readonly retryAfterMs: number,
  ) {
    super(`${waiting} items wait already`);
  }
}

/** The item was dropped before it was done: its client disconnected, or its deadline passed. */
export class DroppedError extends Error {
  override readonly name = 'DroppedError';

  constructor(readonly why: 'aborted' | 'deadline' | 'closed') {
    super(`dropped: ${why}`);
  }
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly since: number;
  readonly deadlineMs: number;
  readonly resolve: (batched: Batched<Result>) => void;
  readonly reject: (error: unknown) => void;
  /** Stops listening to the client's signal. */
  readonly forget: () => void;
}

interface Lane<Item, Result> {
  readonly name: string;
  readonly limits: LaneLimits;
  queue: Waiting<Item, Result>[];
  servedAt: number;
}

export class Batcher<Item, Result> {
  readonly #lanes = new Map<string, Lane<Item, Result>>();
  readonly #options: BatcherOptions<Item, Result>;
  #running = 0;
  #served = 0;
  #cancelTimer: (() => void) | undefined;
  #closed = false;
  /** Milliseconds for each item in the last batches. */
  #itemMs: number[] = [];

  constructor(options: BatcherOptions<Item, Result>) {
    this.#options = options;
  }

  /** Items that wait in all lanes. */
  get waiting(): number {
    let count = 0;
    for (const { queue } of this.#lanes.values()) count += queue.length;
    return count;
  }

  /** Estimates the time until `items` are done, from the recent rate; 1 s if there is none yet. */
  estimateMs(items: number): number {
    const { concurrency = 1 } = this.#options;
    const ascending = [...this.#itemMs].sort((a, b) => a - b);
    const median = ascending[Math.floor(ascending.length / 2)];
    return median === undefined ? 1000 : (items * median) / concurrency;
  }

  /**
   * Puts an item into a lane. Items of a lane are processed in the order in which they arrived.
   * @throws QueueFullError, DroppedError, or what the work on this item threw.
   */
  submit(laneName: string, item: Item, { signal, deadlineMs }: SubmitOptions = {}): Promise<Batched<Result>> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new DroppedError('closed');
      if (signal?.aborted) throw new DroppedError('aborted');
      const lane = this.#lane(laneName);
      const { length } = lane.queue;
      if (length >= lane.limits.maxQueueLength) throw new QueueFullError(length, this.estimateMs(length));
      const onAbort = (): void => this.#drop(lane, waiting, 'aborted');
      signal?.addEventListener('abort', onAbort, { once: true });
      const waiting: Waiting<Item, Result> = {
        item,
        since: this.#options.clock.now(),
        deadlineMs: deadlineMs ?? Number.POSITIVE_INFINITY,
        resolve,
        reject,
        forget: () => signal?.removeEventListener('abort', onAbort),
      };
      lane.queue.push(waiting);
      this.#serve();
    });
  }

  /** Accepts nothing more and drops what waits; running batches are finished. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    for (const lane of this.#lanes.values()) {
      for (const waiting of [...lane.queue]) this.#drop(lane, waiting, 'closed');
    }
  }

  #lane(name: string): Lane<Item, Result> {
    const known = this.#lanes.get(name);
    if (known) return known;
    // Before the lane that was served last, after all that already wait.
    const servedAt = this.#served - 0.5;
    const lane = { name, limits: this.#options.limits(name), queue: [], servedAt };
    this.#lanes.set(name, lane);
    return lane;
  }

  #drop(lane: Lane<Item, Result>, waiting: Waiting<Item, Result>, why: DroppedError['why']): void {
    if (!lane.queue.includes(waiting)) return;
    lane.queue = lane.queue.filter((other) => other !== waiting);
    this.#forgetIfIdle(lane);
    waiting.forget();
    waiting.reject(new DroppedError(why));
  }

  /** Starts batches while there is room, then waits for the next lane to become due. */
  #serve(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const { clock, concurrency = 1 } = this.#options;
    this.#dropExpired(clock.now());
    while (this.#running < concurrency) {
      const now = clock.now();
      const lanes = [...this.#lanes.values()].filter(({ queue }) => queue.length > 0);
      const due = lanes.filter((lane) => dueAt(lane) <= now);
      const [next] = due.sort((a, b) => a.servedAt - b.servedAt);
      if (!next) break;
      void this.#start(next);
    }
    this.#wakeLater(this.#running < concurrency);
  }

  /** Wakes up when the next lane is due, if there is room for its batch, or when the next item's deadline passes. */
  #wakeLater(hasRoom: boolean): void {
    const { clock } = this.#options;
    let soonest = Number.POSITIVE_INFINITY;
    for (const lane of this.#lanes.values()) {
      if (lane.queue.length === 0) continue;
      if (hasRoom) soonest = Math.min(soonest, dueAt(lane));
      for (const { deadlineMs } of lane.queue) soonest = Math.min(soonest, deadlineMs);
    }
    if (soonest === Number.POSITIVE_INFINITY) return;
    this.#cancelTimer = clock.after(Math.max(0, soonest - clock.now()), () => this.#serve());
  }

  #dropExpired(now: number): void {
    for (const lane of [...this.#lanes.values()]) {
      for (const waiting of lane.queue.filter(({ deadlineMs }) => deadlineMs <= now)) {
        this.#drop(lane, waiting, 'deadline');
      }
    }
  }

  async #start(lane: Lane<Item, Result>): Promise<void> {
    const { clock, onBatch } = this.#options;
    const size = lane.limits.sizes.next(lane.queue.length);
    const batch = lane.queue.slice(0, size);
    lane.queue = lane.queue.slice(size);
    lane.servedAt = ++this.#served;
    this.#running++;
    const began = clock.now();
    for (const { forget } of batch) forget();
    onBatch?.(lane.name, size, lane.queue.length);
    await this.#work(lane.name, batch, began);
    this.#learnRate((clock.now() - began) / size);
    this.#running--;
    this.#forgetIfIdle(lane);
    this.#serve();
  }

  /** If a batch fails, its items are tried alone, so that one bad item does not fail the others. */
  async #work(lane: string, batch: readonly Waiting<Item, Result>[], began: number): Promise<void> {
    try {
      const results = await this.#options.run(
        lane,
        batch.map(({ item }) => item),
      );
      if (results.length !== batch.length) {
        throw new RangeError(`${results.length} results for ${batch.length} items`);
      }
      for (const [index, { resolve, since }] of batch.entries()) {
        resolve({ result: results[index] as Result, queueMs: began - since });
      }
    } catch (error) {
      const [only, ...others] = batch;
      if (others.length === 0) only?.reject(error);
      else for (const waiting of batch) await this.#work(lane, [waiting], began);
    }
  }

  /** An idle lane is removed: there may be thousands in a day. */
  #forgetIfIdle(lane: Lane<Item, Result>): void {
    if (lane.queue.length > 0) return;
    // A new lane of this name may exist by the time the last batch of the old one ends.
    if (this.#lanes.get(lane.name) === lane) this.#lanes.delete(lane.name);
  }

  /** The median is used, because a batch that waited for other work on the device says little about the next. */
  #learnRate(itemMs: number): void {
    this.#itemMs = [...this.#itemMs, itemMs].slice(-rateBatches);
  }
}

/** Batches from which the rate is estimated. */
const rateBatches = 15;

/** When a lane's next batch may start: at once if it is full, or if an item's deadline does not allow the delay. */
function dueAt<Item, Result>({ queue, limits }: Lane<Item, Result>): number {
  const [oldest] = queue;
  const patientUntil = (oldest?.since ?? 0) + limits.maxQueueDelayMs;
  const inHurry = queue.some(({ deadlineMs }) => deadlineMs <= patientUntil);
  return inHurry || queue.length >= limits.sizes.most ? Number.NEGATIVE_INFINITY : patientUntil;
}
