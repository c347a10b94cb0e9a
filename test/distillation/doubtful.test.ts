/** Good photos that the others do not explain. */
import t from 'tap';
import { doubtfulOf } from '../../src/distillation/linear/terms.js';

t.test('what lies three upper deviations above the median is doubtful, the highest first', async (t) => {
  const usual = Array.from({ length: 41 }, (_, at) => (at - 20) / 10);
  t.strictSame(doubtfulOf(usual), [], 'none among usual scores');
  t.strictSame(doubtfulOf([...usual, 9, 30]), [42]);
  t.strictSame(doubtfulOf([...usual, ...usual, ...usual, 20, 15]), [123, 124]);
});
