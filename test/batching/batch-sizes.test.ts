/** Batch and tensor sizes on each provider: CUDA's are checked here too, since they need no graphics card. */
import t from 'tap';
import { BatchSizes } from '../../src/batching/index.js';

const upTo = (most: number): number[] => Array.from({ length: most }, (_, index) => index + 1);

t.test('on the CPU batches are powers of two, in tensors of exactly that size', async (t) => {
  const sizes = BatchSizes.on('cpu', 16);
  t.equal(sizes.maxBatch, 16);
  t.strictSame(
    [1, 2, 3, 5, 8, 15, 16, 100].map((waiting) => sizes.nextBatch(waiting)),
    [1, 2, 2, 4, 8, 8, 16, 16],
  );
  t.strictSame(
    upTo(16).map((count) => sizes.tensorSize(count)),
    upTo(16),
  );
  t.strictSame(sizes.warmUp, [1]);
});

t.test('on CUDA tensors have a few fixed sizes, and a batch uses the smallest that fits', async (t) => {
  const sizes = BatchSizes.on('cuda', 16);
  t.strictSame(sizes.warmUp, [1, 8, 16]);
  t.strictSame(
    [1, 2, 8, 9, 16].map((count) => sizes.tensorSize(count)),
    [1, 8, 8, 16, 16],
  );
  t.strictSame(
    [1, 5, 16, 40].map((waiting) => sizes.nextBatch(waiting)),
    [1, 5, 16, 16],
    'all waiting images share a batch: padding costs less than another run',
  );
  t.strictSame(BatchSizes.on('cuda', 64).warmUp, [1, 8, 16, 32, 64]);
  t.strictSame(BatchSizes.on('cuda', 12).warmUp, [1, 8, 12], 'the largest is what was configured');
  t.strictSame(BatchSizes.on('cuda', 1).warmUp, [1]);
});

t.test('a known number of images is split into full batches and the rest', async (t) => {
  for (const sizes of [BatchSizes.any(16), BatchSizes.of(1, 8, 16)]) {
    t.strictSame(sizes.batches(16), [16]);
    t.strictSame(sizes.batches(40), [16, 16, 8]);
    t.strictSame(sizes.batches(3), [3]);
    t.strictSame(sizes.batches(0), []);
  }
});

t.test('every batch fits into a prepared tensor', async (t) => {
  for (const provider of ['cpu', 'cuda'] as const) {
    for (const most of [1, 2, 7, 8, 16, 33]) {
      const sizes = BatchSizes.on(provider, most);
      for (const waiting of upTo(80)) {
        const count = sizes.nextBatch(waiting);
        const tensor = sizes.tensorSize(count);
        const fits = count >= 1 && count <= Math.min(waiting, most) && tensor >= count && tensor <= most;
        if (!fits) t.fail(`${provider}, at most ${most}, ${waiting} waiting: ${count} in ${tensor}`);
        if (provider === 'cuda' && !sizes.warmUp.includes(tensor)) t.fail(`${tensor} was not prepared`);
      }
    }
  }
  t.pass('all batches fit');
});
