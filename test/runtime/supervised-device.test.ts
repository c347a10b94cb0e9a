/** A device replaces a lost worker: no run is lost, and none is retried forever. */
import t, { type Test } from 'tap';
import { encodeModel, Graph } from '../../src/onnx/index.js';
import {
  Device,
  type DeviceOptions,
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

/** y = relu(x), applied `times` times to make the run slower. */
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

t.test('runs on a lost worker are finished by the next one', async (t) => {
  const { device, causes } = await opened(t);
  const session = await device.session(model());
  const runs = Array.from({ length: 8 }, (_, index) => session.run({ x: float32([1], [index - 3]) }));
  const replaced = device.replace();
  t.equal(device.alive, false, 'the device is not alive in the meantime');
  const values = (await Promise.all(runs)).map(({ outputs }) => float32Data(outputs, 'y')[0]);
  t.strictSame(values, [0, 0, 0, 0, 1, 2, 3, 4]);
  await replaced;
  t.equal(device.alive, true);
  t.strictSame(causes, ['asked']);
  t.equal(float32Data((await session.run({ x: float32([1], [5]) })).outputs, 'y')[0], 5);
});

t.test('a request that ends two workers fails, and other runs continue', async (t) => {
  const { device, causes } = await opened(t);
  const session = await device.session(model());
  await t.rejects(device.session(crash), WorkerGoneError);
  t.equal(float32Data((await session.run({ x: float32([1], [2]) })).outputs, 'y')[0], 2);
  t.ok(causes.length >= 2 && causes.every((cause) => cause === 'crash'));
});

t.test('a worker that hangs is replaced', async (t) => {
  const { device, causes } = await opened(t, 1);
  const session = await device.session(model(200));
  await t.rejects(session.run({ x: float32([2_000_000], new Float32Array(2_000_000)) }), WorkerGoneError);
  t.strictSame(causes.slice(0, 1), ['hang']);
});

t.test('a failed graph does not replace the worker', async (t) => {
  const { device, causes } = await opened(t);
  const session = await device.session(model());
  await t.rejects(session.run({}), { name: 'RuntimeError' });
  t.strictSame(causes, []);
  await device.close();
  await t.rejects(session.run({ x: float32([1], [1]) }), WorkerGoneError);
});

t.test('a replacement uses the provider of the first worker, or fails until that is available', async (t) => {
  const asked: DeviceOptions['provider'][] = [];
  let available = true;
  const device = await SupervisedDevice.open(
    { provider: 'auto', threads: 1 },
    {
      open: async (options) => {
        asked.push(options.provider);
        if (!available) throw new Error(`no ${options.provider} here`);
        return Device.open(options);
      },
    },
  );
  t.teardown(() => device.close());
  const { provider } = device;
  const session = await device.session(model());
  await device.replace();
  t.strictSame(asked, ['auto', provider], 'never auto again: that could be another provider');
  t.equal(device.provider, provider);

  available = false;
  await t.rejects(device.replace(), { message: `no ${provider} here` });
  t.equal(device.alive, false);
  t.equal(device.provider, provider, 'what was promised at the start');
  await t.rejects(session.run({ x: float32([1], [1]) }), { message: `no ${provider} here` });
  t.equal(device.alive, false, 'and not alive, for whoever asks whether it is ready');

  available = true;
  t.equal(float32Data((await session.run({ x: float32([1], [3]) })).outputs, 'y')[0], 3);
  t.ok(device.alive);
  t.ok(asked.slice(1).every((each) => each === provider));
});
