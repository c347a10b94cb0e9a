/** A device outlives its worker: nothing that was asked is lost, nothing is tried for ever. */
import t, { type Test } from 'tap';
import { encodeModel, Graph } from '../../src/onnx/index.js';
import {
  float32,
  float32Data,
  type ReplacementCause,
  SupervisedDevice,
  WorkerGoneError,
} from '../../src/runtime/index.js';

const crash = {
  module: new URL('../support/crash.js', import.meta.url).href,
  function: 'crash',
  argument: 0,
};

/** y = relu(x), so many times that a run takes a while. */
function model(times = 1): Uint8Array {
  const graph = new Graph('relu');
  let x = graph.input('x', 'float32', ['N']);
  for (let time = 0; time < times; time++) x = graph.op.Relu(x);
  graph.output(x, 'y');
  return encodeModel(graph);
}

async function opened(t: Test, hangMs?: number) {
  const causes: ReplacementCause[] = [];
  const device = await SupervisedDevice.open(
    { provider: 'cpu', threads: 1 },
    { onReplace: (cause) => causes.push(cause), ...(hangMs === undefined ? {} : { hangMs }) },
  );
  t.teardown(() => device.close());
  return { device, causes };
}

t.test('runs under way when the worker goes are answered by the next one', async (t) => {
  const { device, causes } = await opened(t);
  const session = await device.session(model());
  const runs = Array.from({ length: 8 }, (_, index) => session.run({ x: float32([1], [index - 3]) }));
  const replaced = device.replace();
  t.equal(device.alive, false, 'meanwhile it says so');
  const values = (await Promise.all(runs)).map(({ outputs }) => float32Data(outputs, 'y')[0]);
  t.strictSame(values, [0, 0, 0, 0, 1, 2, 3, 4]);
  await replaced;
  t.equal(device.alive, true);
  t.strictSame(causes, ['asked']);
  t.equal(float32Data((await session.run({ x: float32([1], [5]) })).outputs, 'y')[0], 5);
});

t.test('what ends two workers is given up, and others go on', async (t) => {
  const { device, causes } = await opened(t);
  const session = await device.session(model());
  await t.rejects(device.session(crash), WorkerGoneError);
  t.equal(float32Data((await session.run({ x: float32([1], [2]) })).outputs, 'y')[0], 2);
  t.ok(causes.length >= 2 && causes.every((cause) => cause === 'crash'));
});

t.test('a worker that does not answer in time is replaced', async (t) => {
  const { device, causes } = await opened(t, 1);
  const session = await device.session(model(200));
  await t.rejects(session.run({ x: float32([2_000_000], new Float32Array(2_000_000)) }), WorkerGoneError);
  t.strictSame(causes.slice(0, 1), ['hang']);
});

t.test('a graph that fails is no reason to replace the worker', async (t) => {
  const { device, causes } = await opened(t);
  const session = await device.session(model());
  await t.rejects(session.run({}), { name: 'RuntimeError' });
  t.strictSame(causes, []);
  await device.close();
  await t.rejects(session.run({ x: float32([1], [1]) }), WorkerGoneError);
});
