/** The progress of a whole distillation: one share and one time left, over all phases and folds. */
import t from 'tap';
import { WholeRun } from '../../src/distillation/whole-run.js';

const units = { expert: 100, distill: 10, scale: 0, calibrate: 0 };

t.test('the time left covers the phases and folds to come', async (t) => {
  let now = 0;
  const whole = new WholeRun(2, 10, () => now);
  const expert = (done: number, cloner: number) =>
    whole.update({ phase: 'expert', done, total: 100 }, cloner, units);
  t.equal(expert(0, 0).secondsLeft, undefined, 'nothing has been measured');
  now = 10;
  // 1 s an image; a step of ten images is taken for 7 s until steps have been measured.
  t.equal(expert(10, 0).secondsLeft, 90 + 70 + (100 + 70));
  now = 100;
  const { share, secondsLeft } = expert(100, 0);
  t.equal(secondsLeft, 70 + 170);
  t.ok(Math.abs(share - 100 / 340) < 1e-9);
  whole.update({ phase: 'distill', done: 0, total: 10 }, 0, units);
  now = 102;
  const faster = whole.update({ phase: 'distill', done: 1, total: 10 }, 0, units);
  t.equal(faster.secondsLeft, 18 + (100 + 20), 'a step takes 2 s');
  t.ok(faster.share > share);
});

t.test('a share never goes back, and a resumed phase counts only what is left', async (t) => {
  let now = 0;
  const whole = new WholeRun(1, 10, () => now);
  whole.update({ phase: 'expert', done: 0, total: 100 }, 0, units);
  now = 100;
  whole.update({ phase: 'expert', done: 100, total: 100 }, 0, units);
  const before = whole.update({ phase: 'distill', done: 8, total: 10 }, 0, units).share;
  now = 130;
  const { share, secondsLeft } = whole.update({ phase: 'distill', done: 9, total: 10 }, 0, units);
  t.equal(secondsLeft, 30, 'one step of 30 s');
  t.ok(share >= before);
});
