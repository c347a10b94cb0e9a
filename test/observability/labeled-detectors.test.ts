/** Series in the metrics stay bounded, whatever number of detectors is used. */
import t from 'tap';
import { LabeledDetectors, otherDetectors } from '../../src/observability/labeled-detectors.js';

t.test('detectors keep their place while they are used; all others share one', async (t) => {
  const replaced: string[] = [];
  let now = 0;
  const labeled = new LabeledDetectors(
    2,
    (name) => replaced.push(name),
    () => now,
  );
  t.strictSame(
    ['a', 'b', 'c', 'a'].map((name) => labeled.use(name)),
    ['a', 'b', otherDetectors, 'a'],
  );
  now = 10 * 60_000;
  t.equal(labeled.use('a'), 'a');
  now = 16 * 60_000;
  t.equal(labeled.use('c'), 'c', 'b has been idle for more than a quarter of an hour');
  t.strictSame(replaced, ['b']);
  t.equal(labeled.use('b'), otherDetectors, 'a and c were used lately');
  labeled.forget('a');
  t.equal(labeled.use('b'), 'b', 'the place of a detector that no longer exists');
  t.notOk(labeled.has('a'));
});

t.test('without places, all detectors are counted together', async (t) => {
  const labeled = new LabeledDetectors(0, () => {});
  t.equal(labeled.use('a'), otherDetectors);
});
