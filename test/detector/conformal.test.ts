/** Thresholds and p-values from good images only: computed by hand, and their guarantee by simulation. */
import t from 'tap';
import { conformalThreshold, imagesNeeded, pValue, supportedRate } from '../../src/detector/index.js';
import { normal, randomStream } from '../../src/random/random.js';

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

t.test('the threshold is the score of rank (n + 1)(1 - rate)', async (t) => {
  t.equal(conformalThreshold(upTo(19), 0.05), 19, 'nineteen scores, one in twenty: the highest');
  t.equal(conformalThreshold(upTo(99), 0.05), 95);
  t.equal(conformalThreshold([3, 1, 2], 0.5), 2, 'in any order');
});

t.test('too few images for a rate are rejected with the number needed', async (t) => {
  t.equal(imagesNeeded(0.05), 19);
  t.equal(imagesNeeded(0.01), 99);
  t.throws(() => conformalThreshold(upTo(18), 0.05), {
    name: 'CalibrationError',
    message: /at least 19 good/,
  });
  t.throws(() => supportedRate(50, 0.001), /at least 999 good images.*there are 50.*at least 0\.02/);
  t.throws(() => supportedRate(6, 0.14), /a rate of at least 0\.143/);
  t.equal(supportedRate(6, 0.143), 0.143, 'the suggested rate is accepted');
  for (const rate of [0, 1, -1, Number.NaN]) t.throws(() => supportedRate(50, rate), /between 0 and 1/);
});

t.test('the default rate is 0.05, or the lowest possible one', async (t) => {
  t.equal(supportedRate(100), 0.05);
  t.equal(supportedRate(9), 0.1);
});

t.test('the p-value counts the good images that score at least as high', async (t) => {
  t.equal(pValue([1, 2, 3], 4), 0.25);
  t.equal(pValue([1, 2, 3], 2), 0.75, 'a tie counts');
  t.equal(pValue([1, 2, 3], 0), 1);
});

t.test('a score is above the threshold exactly if its p-value is at most the rate', async (t) => {
  const random = randomStream(4, 'scores');
  const scores = Array.from({ length: 40 }, () => Math.round(8 * normal(random)) / 8);
  const threshold = conformalThreshold(scores, 0.1);
  for (let score = -3; score <= 3; score += 1 / 16) {
    t.equal(score > threshold, pValue(scores, score) <= 0.1, `score ${score}`);
  }
});

t.test('new good images exceed the threshold no more often than stated, for any distribution', async (t) => {
  for (const [name, shape] of Object.entries({
    normal: (value: number) => value,
    skewed: (value: number) => Math.exp(2 * value),
    ties: (value: number) => Math.round(value),
  })) {
    const random = randomStream(7, name);
    let alarms = 0;
    const trials = 4000;
    for (let trial = 0; trial < trials; trial++) {
      const draws = Array.from({ length: 25 }, () => shape(normal(random)));
      if ((draws[24] as number) > conformalThreshold(draws.slice(0, 24), 0.1)) alarms++;
    }
    // Three standard deviations of a binomial of 4,000 trials at 0.1.
    t.ok(alarms / trials < 0.1 + 3 * Math.sqrt((0.1 * 0.9) / trials), `${name}: ${alarms / trials}`);
  }
});
