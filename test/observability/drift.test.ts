/** Drift: an old lamp is detected, a bad batch is ignored. */
import t from 'tap';
import type { LoadedDetector } from '../../src/detector/index.js';
import { DriftMonitor, driftOf, driftWindow } from '../../src/observability/index.js';
import { normal, randomStream } from '../../src/random/random.js';

const random = randomStream(0, 'drift');
const good = (count: number, shift = 0): number[] =>
  Array.from({ length: count }, () => 0.1 + shift + 0.01 * normal(random));
const reference = good(60).sort((a, b) => a - b);

function detector(version: string): LoadedDetector {
  return {
    version,
    manifest: { calibration: { directions: { pool5: reference } } },
  } as unknown as LoadedDetector;
}

t.test('drift is computed from quartiles: 2 and 4 for 1 to 5', async (t) => {
  t.equal(driftOf([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]), 0);
  t.equal(driftOf([3, 4, 5, 6, 7], [1, 2, 3, 4, 5]), 1);
});

t.test('images like the reference do not drift, even among many defective ones', async (t) => {
  t.ok(Math.abs(driftOf(good(200), reference)) < 0.6);
  const bad = [...good(100), ...good(100, 0.2)];
  t.ok(Math.abs(driftOf(bad, reference)) < 1.5, 'every second part defective');
});

t.test('a change of every image is detected, upward and downward', async (t) => {
  t.ok(driftOf(good(200, 0.03), reference) > 1.5);
  t.ok(driftOf(good(200, -0.03), reference) < -1.5);
});

t.test('few images report no drift, old ones leave the window, and a new version starts over', async (t) => {
  const monitor = new DriftMonitor();
  const record = (version: string, values: readonly number[]): void => {
    for (const direction of values)
      monitor.record('flange', detector(version), [{ layer: 'pool5', direction }]);
  };
  record('a', good(driftWindow.least - 1));
  t.strictSame(monitor.measure(), []);
  record('a', good(1));
  t.match(monitor.measure(), [{ detector: 'flange', layer: 'pool5' }]);
  record('a', good(driftWindow.images, 0.05));
  t.ok((monitor.measure()[0]?.drift ?? 0) > 3, 'the first images are out of the window');
  record('b', good(1));
  t.strictSame(monitor.measure(), []);
});
