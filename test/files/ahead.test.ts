/** Work on several items at once, in order; cores in a container. */
import { setTimeout as wait } from 'node:timers/promises';
import t from 'tap';
import { workAhead } from '../../src/files/ahead.js';
import { quotaCores } from '../../src/files/cores.js';

t.test('results come in order, and no more items are in work than allowed', async (t) => {
  let [inWork, most] = [0, 0];
  const results: number[] = [];
  const items = Array.from({ length: 20 }, (_, item) => item);
  const work = async (item: number): Promise<number> => {
    most = Math.max(most, ++inWork);
    await wait(item % 3);
    inWork--;
    return 2 * item;
  };
  for await (const result of workAhead(items, 4, work)) results.push(result);
  t.strictSame(
    results,
    items.map((item) => 2 * item),
  );
  t.equal(most, 4);
});

t.test('an error is thrown in its turn, and nothing is left unhandled', async (t) => {
  const seen: number[] = [];
  const work = async (item: number): Promise<number> => {
    if (item >= 2) throw new Error(`item ${item}`);
    await wait(5);
    return item;
  };
  await t.rejects(
    async () => {
      for await (const result of workAhead([0, 1, 2, 3], 4, work)) seen.push(result);
    },
    { message: 'item 2' },
  );
  t.strictSame(seen, [0, 1]);
});

t.test('the quota of a container counts, of both versions of control groups', async (t) => {
  const of = (files: Readonly<Record<string, string>>) =>
    quotaCores((path) => {
      const text = files[path];
      if (text === undefined) throw new Error(`there is no ${path}`);
      return text;
    });
  t.equal(of({}), undefined);
  t.equal(of({ '/sys/fs/cgroup/cpu.max': 'max 100000\n' }), undefined);
  t.equal(of({ '/sys/fs/cgroup/cpu.max': '150000 100000\n' }), 2);
  t.equal(of({ '/sys/fs/cgroup/cpu.max': '20000 100000\n' }), 1);
  const first = '/sys/fs/cgroup/cpu/cpu.cfs';
  t.equal(of({ [`${first}_quota_us`]: '400000\n', [`${first}_period_us`]: '100000\n' }), 4);
  t.equal(of({ [`${first}_quota_us`]: '-1\n', [`${first}_period_us`]: '100000\n' }), undefined);
});
