/** Sessions of one detector each: they give the same scores, and only the most used detectors have one. */
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import t from 'tap';
import { modelsFolder, readDetector, type Scorer } from '../../src/detector/index.js';
import { encodeModel, Graph } from '../../src/onnx/index.js';
import { Device, float32, type Session } from '../../src/runtime/index.js';
import { DedicatedSessions } from '../../src/scoring/dedicated-sessions.js';
import { ScoringEngine } from '../../src/scoring/index.js';
import { relativeDifference } from '../support/difference.js';
import { testProvider } from '../support/provider.js';

t.test('a dedicated session gives the same scores and maps as the shared one', async (t) => {
  const detector = await readDetector(join(modelsFolder, 'sample'));
  const { images } = detector.selfTest;
  const outputs = [];
  for (const dedicatedSessions of [0, 1]) {
    const engine = await ScoringEngine.open({ provider: testProvider, dedicatedSessions });
    await engine.warmUp(detector);
    outputs.push((await engine.run(detector, images, 'discrepancy')).outputs);
    await engine.close();
  }
  const [shared, dedicated] = outputs as [(typeof outputs)[number], (typeof outputs)[number]];
  for (const name of ['score', 'direction', 'value', 'peak', 'map'] as const) {
    const [a, b] = [shared[name] as Float32Array, dedicated[name] as Float32Array];
    const difference = relativeDifference(a, b);
    t.equal(a.length, b.length, name);
    t.ok(difference <= 1e-4, `${name}: ${difference}`);
  }
});

t.test('the most used detectors have a dedicated session', async (t) => {
  const device = await Device.open({ provider: testProvider });
  t.teardown(() => device.close());
  const open: string[] = [];
  const scorer = (name: string): Scorer => ({ feeds: { name: float32([], [0]) }, name }) as unknown as Scorer;
  const [a, b, c] = [scorer('a'), scorer('b'), scorer('c')];
  const sessions = new DedicatedSessions(1, async (of): Promise<Session> => {
    const name = String(Reflect.get(of, 'name'));
    const graph = new Graph(name);
    graph.output(graph.op.Relu(graph.input('x', 'float32', [1])), 'y');
    const session = await device.session(encodeModel(graph));
    open.push(name);
    return {
      run: (feeds) => session.run(feeds),
      close: async () => {
        await session.close();
        open.splice(open.indexOf(name), 1);
      },
    };
  });
  const inputs = { x: float32([1], [1]) };
  const use = async (of: Scorer, images: number): Promise<boolean> =>
    (await sessions.run(of, images, inputs)) !== undefined;
  await sessions.claim(a);
  await sessions.claim(b);
  t.strictSame(open, ['a'], 'no more sessions than allowed');
  t.ok(await use(a, 400));
  t.notOk(await use(b, 400), 'equal use is not enough');
  t.ok(await use(a, 1));
  for (let used = 0; used < 20; used++) await use(b, 100);
  for (let tries = 0; tries < 500 && !sessions.has(b); tries++) await wait(10);
  t.ok(await use(b, 1), 'a detector used clearly more takes the place');
  t.strictSame(open, ['b'], 'and the other session is closed');
  t.notOk(await use(a, 1));
  t.notOk(await use(c, 1));

  const running = Promise.all(Array.from({ length: 20 }, () => use(b, 1)));
  await sessions.release(b);
  await t.resolves(running, 'the session is closed after its runs');
  t.strictSame(open, []);
  await use(b, 500);
  await wait(50);
  t.notOk(sessions.has(b), 'a detector that has left memory gets none, even if a run was still going on');
  await use(c, 49);
  t.notOk(sessions.has(c), 'a new detector uses the shared session');
  await use(c, 1);
  for (let tries = 0; tries < 500 && !sessions.has(c); tries++) await wait(10);
  t.ok(await use(c, 1), 'after 50 images it takes the free place');
  await sessions.close();
  t.strictSame(open, []);
});
