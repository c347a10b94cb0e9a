/**
 * Dynamic batching. Requests arrive one by one, but a device is most efficient with several at once. The batcher keeps
 * waiting items in lanes, one for each kind of work that may share a batch. Whenever the device is free it starts the
 * next batch: of all lanes whose batch is full, or whose oldest item has waited long enough, it chooses the least
 * recently served one. A busy device needs no delay to fill batches, because items collect while it works. The delay
 * matters only when the device is idle.
 */
import type { BatchSizes } from './batch-sizes.js';
import type { Clock } from './clock.js';

export interface LaneLimits {
  /** Batch sizes. */
  readonly sizes: BatchSizes;
  /** How long an item may wait for others while the device is idle. */
  readonly maxQueueDelayMs: number;
  /** Maximum number of items waiting in the lane; more are rejected. */
  readonly maxQueueLength: number;
}

export interface BatcherOptions<Item, Result> {
  readonly limits: (lane: string) => LaneLimits;
  /** Processes a batch of one lane. @returns a result for each item, in order. */
  readonly run: (lane: string, items: readonly Item[]) => Promise<readonly Result[]>;
  /** Maximum number of batches running at once; default 1. */
  readonly concurrency?: number;
  readonly clock: Clock;
  /** Called when a batch starts, with its lane, its size, and how many items still wait in the lane. */
  readonly onBatch?: (lane: string, size: number, waiting: number) => void;
}

export interface SubmitOptions {
  /** Drops the item if its client disconnects while it waits. */
  readonly signal?: AbortSignal | undefined;
  /** Clock time after which a waiting item is dropped. */
  readonly deadlineMs?: number | undefined;
}

export interface Batched<Result> {
  readonly result: Result;
  /** Time from submission to the start of the batch, in milliseconds. */
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
    super(`the queue is full: ${waiting} items are waiting`);
  }
}

/** The item was dropped while it waited: its client disconnected, its deadline passed, or the batcher closed. */
export class DroppedError extends Error {
  override readonly name = 'DroppedError';

  constructor(readonly reason: 'aborted' | 'deadline' | 'closed') {
    super(`dropped: ${reason}`);
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
  lastServed: number;
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

  /** Number of waiting items in all lanes. */
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
   * Adds an item to a lane. Items of a lane are processed in the order of arrival.
   * @throws QueueFullError, DroppedError, or the error of processing this item.
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

  /** Accepts no more items and drops waiting ones; running batches are finished. */
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
    // A new lane is served before the lane that was served last, and after all lanes that already wait.
    const lastServed = this.#served - 0.5;
    const lane = { name, limits: this.#options.limits(name), queue: [], lastServed };
    this.#lanes.set(name, lane);
    return lane;
  }

  #drop(lane: Lane<Item, Result>, waiting: Waiting<Item, Result>, why: DroppedError['reason']): void {
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
      const [next] = due.sort((a, b) => a.lastServed - b.lastServed);
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
    const size = lane.limits.sizes.nextBatch(lane.queue.length);
    const batch = lane.queue.slice(0, size);
    lane.queue = lane.queue.slice(size);
    lane.lastServed = ++this.#served;
    this.#running++;
    const began = clock.now();
    for (const { forget } of batch) forget();
    onBatch?.(lane.name, size, lane.queue.length);
    await this.#work(lane.name, batch, began);
    this.#recordRate((clock.now() - began) / size);
    this.#running--;
    this.#forgetIfIdle(lane);
    this.#serve();
  }

  /** If a batch fails, retries its items one by one, so that one bad item does not fail the others. */
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

  /** Removes an idle lane, because there may be thousands in a day. */
  #forgetIfIdle(lane: Lane<Item, Result>): void {
    if (lane.queue.length > 0) return;
    // A new lane of this name may exist by the time the last batch of the old one ends.
    if (this.#lanes.get(lane.name) === lane) this.#lanes.delete(lane.name);
  }

  /** Records the time per item. The estimate uses the median, because other work may delay single batches. */
  #recordRate(itemMs: number): void {
    this.#itemMs = [...this.#itemMs, itemMs].slice(-rateBatches);
  }
}

/** Number of recent batches used to estimate the rate. */
const rateBatches = 15;

/** Returns when a lane's next batch may start: at once if it is full or an item's deadline does not allow the delay. */
function dueAt<Item, Result>({ queue, limits }: Lane<Item, Result>): number {
  const [oldest] = queue;
  const delayEnds = (oldest?.since ?? 0) + limits.maxQueueDelayMs;
  const deadlineFirst = queue.some(({ deadlineMs }) => deadlineMs <= delayEnds);
  return deadlineFirst || queue.length >= limits.sizes.maxBatch ? Number.NEGATIVE_INFINITY : delayEnds;
}
