/** Several workers as one device. */
import t from 'tap';
import { encodeModel, Graph } from '../../src/onnx/index.js';
import { DevicePool, float32, float32Data, RuntimeError } from '../../src/runtime/index.js';

/** y = relu(x) */
function model(): Uint8Array {
  const graph = new Graph('relu');
  graph.output(graph.op.Relu(graph.input('x', 'float32', ['N'])), 'y');
  return encodeModel(graph);
}

t.test('runs are spread over the workers, and each gets its own answer', async (t) => {
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

t.test('while one worker is replaced the others answer', async (t) => {
  const causes: string[] = [];
  const pool = await DevicePool.open(
    { provider: 'cpu', workers: 2 },
    { onReplace: (cause) => causes.push(cause) },
  );
  t.teardown(() => pool.close());
  const session = await pool.session(model());
  const replaced = Promise.all([pool.replace(), session.run({ x: float32([1], [1]) })]);
  t.ok(pool.alive, 'one is left');
  t.equal(float32Data((await session.run({ x: float32([1], [4]) })).outputs, 'y')[0], 4);
  await replaced;
  await Promise.all([pool.replace(), pool.replace()]);
  t.equal(float32Data((await session.run({ x: float32([1], [7]) })).outputs, 'y')[0], 7, 'all were replaced');
  t.strictSame(causes, ['asked', 'asked', 'asked']);
});

t.test('a provider that is not to be had is refused once, by name', async (t) => {
  const pool = await DevicePool.open({ provider: 'auto', cudaDevices: [0, 1] });
  t.teardown(() => pool.close());
  if (pool.provider === 'cuda') t.equal(pool.size, 2);
  else {
    t.equal(pool.size, 1, 'the CPU is one device');
    await t.rejects(DevicePool.open({ provider: 'cuda', workers: 2 }), RuntimeError);
  }
});
