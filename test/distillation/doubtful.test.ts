/** Good photos that the others do not explain. */
import t from 'tap';
import { doubtfulOf } from '../../src/distillation/linear/terms.js';

t.test('what lies far above most is doubtful, the highest first', async (t) => {
  const usual = Array.from({ length: 41 }, (_, at) => (at - 20) / 10);
  t.strictSame(doubtfulOf(usual), [], 'none among usual scores');
  t.strictSame(doubtfulOf([...usual, 9, 30]), [42, 41]);
  t.strictSame(doubtfulOf([...usual, ...usual, ...usual, 20, 15]), [123, 124]);
  const few = usual.filter((_, at) => at % 4 === 0);
  t.strictSame(doubtfulOf([...few, 12]), [few.length], 'among a dozen too');
  t.strictSame(
    doubtfulOf([...usual, 40, 41, 42, 43, 44]),
    [45, 44, 43, 42, 41],
    'several do not hide each other',
  );
});
