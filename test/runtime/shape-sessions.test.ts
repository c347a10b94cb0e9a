/** Sessions by shape: correct results, one session for each set of shapes, and all are released. */
import t from 'tap';
import { encodeModel, Graph } from '../../src/onnx/index.js';
import { type BlockingSession, createSession } from '../../src/runtime/onnxruntime.js';
import { ShapeSessions } from '../../src/runtime/shape-sessions.js';
import { float32, float32Data } from '../../src/runtime/tensor.js';

const graph = new Graph('sum');
graph.output(graph.op.Add(graph.input('x', 'float32', ['N']), graph.input('constant', 'float32', [1])), 'y');
const model = encodeModel(graph);

/** Returns shape sessions that count created and open sessions. */
async function counted() {
  const count = { created: 0, open: 0 };
  const sessions = await ShapeSessions.open(async (): Promise<BlockingSession> => {
    const session = await createSession(model, {
      provider: 'cpu',
      threads: 1,
      cudaDevice: 0,
      spinning: true,
    });
    count.created++;
    count.open++;
    return {
      run: (feeds, constants) => session.run(feeds, constants),
      release: async () => {
        await session.release();
        count.open--;
      },
    };
  });
  const sum = async (x: readonly number[], constant: number): Promise<number[]> => {
    const outputs = await sessions.run({ x: float32([x.length], x) }, { constant: float32([1], [constant]) });
    return [...float32Data(outputs, 'y')];
  };
  return { sessions, count, sum };
}

t.test('each set of shapes has one session, independent of the constants', async (t) => {
  const { sessions, count, sum } = await counted();
  t.equal(count.created, 1, 'opened at once, so that an invalid model is rejected');
  t.strictSame(await sum([1, 2], 10), [11, 12]);
  t.strictSame(await sum([3, 4], 20), [23, 24]);
  t.equal(count.created, 1);
  t.strictSame(await sum([5], 30), [35]);
  t.strictSame(await sum([6, 7], 40), [46, 47]);
  t.equal(count.created, 2);
  await sessions.release();
  t.equal(count.open, 0);
});

t.test('the least recently used session is evicted if there are too many', async (t) => {
  const { sessions, count, sum } = await counted();
  const zeros = (length: number): number[] => Array.from({ length }, () => 0);
  for (const length of [1, 2, 3, 4, 1, 5]) t.equal((await sum(zeros(length), 0)).length, length);
  t.strictSame(count, { created: 5, open: 4 });
  await sum(zeros(1), 0);
  t.equal(count.created, 5, 'recently used');
  await sum(zeros(2), 0);
  t.equal(count.created, 6, 'evicted');
  await sessions.release();
  t.equal(count.open, 0);
});

t.test('a session that never ran is released', async (t) => {
  const { sessions, count } = await counted();
  await sessions.release();
  t.equal(count.open, 0);
  await t.rejects(
    ShapeSessions.open(() =>
      createSession(Uint8Array.of(1), { provider: 'cpu', threads: 1, cudaDevice: 0, spinning: true }),
    ),
  );
});
