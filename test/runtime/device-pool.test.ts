/** Several workers as one device. */
import { readdir, readFile } from 'node:fs/promises';
import t from 'tap';
import { encodeModel, Graph } from '../../src/onnx/index.js';
import { DevicePool, float32, float32Data } from '../../src/runtime/index.js';

/** y = relu(x) */
function model(): Uint8Array {
  const graph = new Graph('relu');
  graph.output(graph.op.Relu(graph.input('x', 'float32', ['N'])), 'y');
  return encodeModel(graph);
}

t.test('runs are distributed over the workers, and each gets its own result', async (t) => {
  const pool = await DevicePool.open({ provider: 'cpu', workers: 3 });
  t.teardown(() => pool.close());
  t.equal(pool.size, 3);
  const session = await pool.session(model());
  const runs = Array.from({ length: 20 }, (_, index) => session.run({ x: float32([1], [index - 10]) }));
  const values = (await Promise.all(runs)).map(({ outputs }) => float32Data(outputs, 'y')[0]);
  t.strictSame(
    values,
    values.map((_, index) => Math.max(0, index - 10)),
  );
});

t.test(
  'the event loop goes before inference',
  { skip: process.platform !== 'linux' && 'threads have priorities of their own on Linux only' },
  async (t) => {
    /** Counts the threads that give way. The niceness is the 17th number after the name in parentheses. */
    const polite = async (): Promise<number> => {
      const threads = await readdir('/proc/self/task');
      const texts = await Promise.all(threads.map((id) => readFile(`/proc/self/task/${id}/stat`, 'utf8')));
      return texts.filter((text) => Number(text.split(') ').at(-1)?.split(' ')[16]) > 0).length;
    };
    const before = await polite();
    const pool = await DevicePool.open({ provider: 'cpu', workers: 1, threads: 2 });
    t.teardown(() => pool.close());
    await (await pool.session(model())).run({ x: float32([1], [1]) });
    t.ok((await polite()) - before >= 2, 'the worker, and the thread of its session');
    const main = await readFile(`/proc/self/task/${process.pid}/stat`, 'utf8');
    t.equal(main.split(') ').at(-1)?.split(' ')[16], '0');
  },
);

t.test('while one worker is replaced, the others continue', async (t) => {
  const causes: string[] = [];
  const pool = await DevicePool.open(
    { provider: 'cpu', workers: 2 },
    { onReplace: (cause) => causes.push(cause) },
  );
  t.teardown(() => pool.close());
  const session = await pool.session(model());
  const replaced = Promise.all([pool.replace(), session.run({ x: float32([1], [1]) })]);
  t.ok(pool.alive, 'one worker is left');
  t.equal(float32Data((await session.run({ x: float32([1], [4]) })).outputs, 'y')[0], 4);
  await replaced;
  await Promise.all([pool.replace(), pool.replace()]);
  t.equal(float32Data((await session.run({ x: float32([1], [7]) })).outputs, 'y')[0], 7, 'all were replaced');
  t.strictSame(causes, ['asked', 'asked', 'asked']);
});

t.test('an unavailable provider is rejected with one clear error', async (t) => {
  const pool = await DevicePool.open({ provider: 'auto' });
  t.teardown(() => pool.close());
  if (pool.provider === 'cuda') {
    t.equal(pool.size, 1);
    await t.rejects(DevicePool.open({ provider: 'auto', cudaDevices: [0, 63] }), {
      name: 'RuntimeError',
      message: /unavailable on graphics card 63: CUDA failure 101: invalid device ordinal;/,
    });
  } else {
    const two = await DevicePool.open({ provider: 'auto', cudaDevices: [0, 1] });
    t.equal(two.size, 1, 'the CPU is one device');
    await two.close();
    await t.rejects(DevicePool.open({ provider: 'cuda', workers: 2 }), {
      name: 'RuntimeError',
      message: /graphics card 0: (onnxruntime's CUDA libraries|a library of CUDA).*; see docs\/operations.md/,
    });
  }
});

t.test('constants are sent once, stored while in use, and available after a replacement', async (t) => {
  const graph = new Graph('sum');
  graph.output(graph.op.Add(graph.input('x', 'float32', [1]), graph.input('c', 'float32', [1])), 'y');
  const pool = await DevicePool.open({ provider: 'cpu' });
  t.teardown(() => pool.close());
  const session = await pool.session(encodeModel(graph));
  const many = Array.from({ length: 40 }, (_, index) => ({ c: float32([1], [index]) }));
  const sum = async (constants: (typeof many)[number], x: number): Promise<number | undefined> =>
    float32Data((await session.run({ x: float32([1], [x]) }, constants)).outputs, 'y')[0];
  const expected = many.map((_, index) => index + 100);
  for (let round = 0; round < 2; round++) {
    t.strictSame(
      await Promise.all(many.map((constants) => sum(constants, 100))),
      expected,
      'more sets than a worker stores',
    );
  }
  await pool.replace();
  t.equal(await sum(many[3] as (typeof many)[number], 1), 4);
  const { outputs } = await session.run({ x: float32([1], [1]), c: float32([1], [5]) }, many[3]);
  t.equal(float32Data(outputs, 'y')[0], 6, 'inputs of the run override constants');
});
