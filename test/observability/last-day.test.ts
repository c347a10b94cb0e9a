/** The last day of each detector, hour by hour. */
import t from 'tap';
import { LastDayMonitor } from '../../src/observability/index.js';

const hourMs = 3_600_000;

t.test('images count in their hour, for a day', async (t) => {
  let now = 1000.2 * hourMs;
  const monitor = new LastDayMonitor(() => now);
  t.match(monitor.of('flange'), { images: 0, anomalous: 0, meanScores: Array(24).fill(null) });
  monitor.record('flange', 2, false);
  monitor.record('flange', 4, true);
  now += 3 * hourMs;
  monitor.record('flange', 7, true);
  const { images, anomalous, meanScores } = monitor.of('flange');
  t.strictSame([images, anomalous], [3, 2]);
  t.strictSame(meanScores.slice(-4), [3, null, null, 7]);
  t.equal(meanScores.length, 24);

  now += 20.7 * hourMs;
  t.match(monitor.of('flange'), { images: 3, meanScores: [3, null, null, 7] }, 'just within the day');
  now += 0.2 * hourMs;
  t.match(monitor.of('flange'), { images: 1, anomalous: 1 }, 'the oldest hour is over');
  monitor.record('flange', 1, false);
  t.match(monitor.of('flange'), { images: 2, anomalous: 1 });
  monitor.record('lid', 100, true);
  monitor.forget('flange');
  t.match(monitor.of('flange'), { images: 0 });
  t.match(monitor.of('lid'), { images: 1 }, 'others stay');
});
