/** The batcher, tested with a manual clock and work of a fixed duration. */
import t from 'tap';
import {
  Batcher,
  BatchSizes,
  DroppedError,
  type LaneLimits,
  QueueFullError,
  type SubmitOptions,
} from '../../src/batching/index.js';
import { ManualClock, settled } from '../support/manual-clock.js';

/** Returns a batcher that doubles numbers; each batch takes `workMs`, and negative numbers fail. */
function doubling(limits: Partial<LaneLimits> = {}, workMs = 10, concurrency = 1) {
  const clock = new ManualClock();
  const batches: string[] = [];
  const batcher = new Batcher<number, number>({
    clock,
    concurrency,
    limits: () => ({ sizes: BatchSizes.any(4), maxQueueDelayMs: 5, maxQueueLength: 8, ...limits }),
    onBatch: (lane, size) => batches.push(`${lane}:${size}`),
    async run(_lane, items) {
      await new Promise<void>((resolve) => clock.after(workMs, resolve));
      if (items.some((item) => item < 0)) throw new Error(`cannot double ${items.join()}`);
      return items.map((item) => 2 * item);
    },
  });
  const submit = (item: number, lane = 'a', options: SubmitOptions = {}) => {
    const promise = batcher.submit(lane, item, options);
    promise.catch(() => {});
    return promise;
  };
  return { clock, batches, batcher, submit };
}

t.test('items that arrive together share a batch, and each gets its own result', async (t) => {
  const { clock, batches, submit } = doubling();
  const answers = [1, 2, 3, 4].map((item) => submit(item));
  await clock.advance(10);
  t.strictSame(
    (await Promise.all(answers)).map(({ result }) => result),
    [2, 4, 6, 8],
  );
  t.strictSame(batches, ['a:4'], 'a full batch starts at once');
});

t.test('an item waits for others no longer than the delay', async (t) => {
  const { clock, batches, submit } = doubling();
  const answer = submit(1);
  await clock.advance(4);
  t.strictSame(batches, []);
  await clock.advance(1);
  t.strictSame(batches, ['a:1']);
  await clock.advance(10);
  t.strictSame(await answer, { result: 2, queueMs: 5 });
});

t.test('a busy device fills batches without a delay', async (t) => {
  const { clock, batches, submit } = doubling({ maxQueueDelayMs: 0 });
  submit(1);
  await settled();
  submit(2);
  submit(3);
  await clock.advance(10);
  t.strictSame(batches, ['a:1', 'a:2']);
});

t.test('batch sizes are powers of two; the rest follows in another batch', async (t) => {
  t.strictSame(
    [1, 2, 3, 4, 5, 7, 8, 9, 40].map((waiting) => BatchSizes.any(16).nextBatch(waiting)),
    [1, 2, 2, 4, 4, 4, 8, 8, 16],
  );
  const { clock, batches, submit } = doubling();
  for (const item of [1, 2, 3]) submit(item);
  await clock.advance(30);
  t.strictSame(batches, ['a:2', 'a:1']);
});

t.test('a failed item fails alone', async (t) => {
  const { clock, submit } = doubling();
  const answers = [1, -2, 3, 4].map((item) => submit(item));
  await clock.advance(50);
  t.strictSame(
    (await Promise.allSettled(answers)).map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
  );
  await t.rejects(answers[1] as Promise<unknown>, { message: 'cannot double -2' });
});

t.test('a flooded lane does not delay another one', async (t) => {
  const { clock, batches, submit } = doubling({ sizes: BatchSizes.any(2), maxQueueDelayMs: 0 });
  for (let item = 0; item < 8; item++) submit(item, 'busy');
  await settled();
  submit(9, 'rare');
  await clock.advance(25);
  t.strictSame(batches, ['busy:1', 'rare:1', 'busy:2']);
});

t.test('a lane that empties and fills again does not overtake a waiting one', async (t) => {
  const { clock, batches, submit } = doubling({ sizes: BatchSizes.any(1), maxQueueDelayMs: 0 });
  submit(1, 'quick');
  await settled();
  submit(2, 'waits');
  submit(3, 'quick');
  await clock.advance(10);
  submit(4, 'quick');
  await clock.advance(30);
  t.strictSame(batches, ['quick:1', 'waits:1', 'quick:1', 'quick:1']);
});

t.test('a full lane rejects items and says when to retry', async (t) => {
  const { clock, batcher, submit } = doubling({
    sizes: BatchSizes.any(1),
    maxQueueLength: 3,
    maxQueueDelayMs: 0,
  });
  submit(0);
  await clock.advance(10);
  for (const item of [1, 2, 3, 4]) submit(item);
  await settled();
  const refused = await submit(5).catch((error: unknown) => error);
  t.type(refused, QueueFullError);
  t.equal((refused as QueueFullError).waiting, 3);
  t.equal((refused as QueueFullError).retryAfterMs, 30, 'three items of ten milliseconds');
  submit(6, 'other');
  t.equal(batcher.waiting, 4, 'other lanes have room');
});

t.test('two batches at once take half as long', async (t) => {
  const { clock, batcher, submit } = doubling({ sizes: BatchSizes.any(1), maxQueueDelayMs: 0 }, 10, 2);
  submit(0);
  await clock.advance(10);
  t.equal(batcher.estimateMs(4), 20);
});

t.test('one slow batch does not distort the estimate', async (t) => {
  const clock = new ManualClock();
  const batcher = new Batcher<number, number>({
    clock,
    limits: () => ({ sizes: BatchSizes.any(1), maxQueueDelayMs: 0, maxQueueLength: 8 }),
    async run(_lane, items) {
      for (const item of items) await new Promise<void>((resolve) => clock.after(item, resolve));
      return [...items];
    },
  });
  for (const ms of [10, 10, 5000]) {
    void batcher.submit('a', ms);
    await clock.advance(ms);
  }
  t.equal(batcher.estimateMs(4), 40);
});

t.test('an item whose client disconnected is dropped before processing', async (t) => {
  const { clock, batches, batcher, submit } = doubling();
  const client = new AbortController();
  const gone = submit(1, 'a', { signal: client.signal });
  client.abort();
  await t.rejects(gone, { name: 'DroppedError', reason: 'aborted' });
  t.equal(batcher.waiting, 0);
  await clock.advance(20);
  t.strictSame(batches, []);
  await t.rejects(
    submit(2, 'a', { signal: client.signal }),
    DroppedError,
    'later items of this client are not accepted',
  );
});

t.test('a client that disconnects during processing changes nothing', async (t) => {
  const { clock, submit } = doubling({ maxQueueDelayMs: 0 });
  const client = new AbortController();
  const answer = submit(1, 'a', { signal: client.signal });
  await settled();
  client.abort();
  await clock.advance(10);
  t.equal((await answer).result, 2);
});

t.test(
  'an item past its deadline is dropped; an item close to its deadline does not wait for others',
  async (t) => {
    const { clock, batches, submit } = doubling({ maxQueueDelayMs: 50 });
    const hurried = submit(1, 'a', { deadlineMs: 20 });
    await clock.advance(1);
    t.strictSame(batches, ['a:1']);
    const late = submit(2, 'a', { deadlineMs: 8 });
    await clock.advance(10);
    t.equal((await hurried).result, 2);
    await t.rejects(late, { name: 'DroppedError', reason: 'deadline' });
    t.strictSame(batches, ['a:1']);
  },
);

t.test('closing drops waiting items and finishes running ones', async (t) => {
  const { clock, batcher, submit } = doubling({ maxQueueDelayMs: 0 });
  const runs = submit(1);
  await settled();
  const waits = submit(2);
  batcher.close();
  await t.rejects(waits, { name: 'DroppedError', reason: 'closed' });
  await t.rejects(submit(3), { name: 'DroppedError', reason: 'closed' });
  await clock.advance(10);
  t.equal((await runs).result, 2);
});

t.test('too few results fail the items of the batch, not the process', async (t) => {
  const clock = new ManualClock();
  const batcher = new Batcher<number, number>({
    clock,
    limits: () => ({ sizes: BatchSizes.any(2), maxQueueDelayMs: 0, maxQueueLength: 8 }),
    run: async () => [],
  });
  await t.rejects(batcher.submit('a', 1), { message: /0 results for 1 items/ });
});

t.test(
  'under a heavy mix of lanes, failures, disconnects and deadlines, every item is settled once',
  async (t) => {
    const { clock, batcher } = doubling({ maxQueueLength: 3 }, 3, 2);
    const outcomes = { done: 0, failed: 0, dropped: 0, refused: 0 };
    const answers: Promise<void>[] = [];
    let state = 12345;
    const random = (below: number): number => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      return state % below;
    };
    const items = 3000;
    for (let index = 0; index < items; index++) {
      const client = new AbortController();
      const item = random(20) === 0 ? -1 - index : index;
      const answer = batcher
        .submit(`lane ${random(5)}`, item, {
          signal: client.signal,
          ...(random(10) === 0 ? { deadlineMs: clock.now() + 5 } : {}),
        })
        .then(
          ({ result }) => {
            outcomes.done++;
            if (result !== 2 * item) t.fail(`${item} became ${result}`);
          },
          (error: unknown) => {
            if (error instanceof QueueFullError) outcomes.refused++;
            else if (error instanceof DroppedError) outcomes.dropped++;
            else outcomes.failed++;
          },
        );
      answers.push(answer);
      if (random(15) === 0) client.abort();
      if (random(4) === 0) await clock.advance(random(6));
    }
    await clock.advance(10_000);
    await Promise.all(answers);
    t.equal(batcher.waiting, 0);
    t.equal(outcomes.done + outcomes.failed + outcomes.dropped + outcomes.refused, items);
    for (const [name, count] of Object.entries(outcomes)) t.ok(count > 20, `${count} ${name}`);
  },
);
