/** The self-test of a detector: images, and the scores and maps they must give on any machine. */

import type { ScoringEngine } from './engine.js';
import {
  type LoadedDetector,
  type Scorer,
  type SelfTest,
  type UnverifiedDetector,
  withoutSelfTest,
} from './loaded-detector.js';
import { DetectorError, type Manifest } from './manifest.js';
import type { LocalizationMethod } from './serving-model.js';

/** Room for other processors and for the shorter mantissa that CUDA convolutions use. */
export const selfTestTolerance: Manifest['selfTest']['tolerance'] = {
  cpu: { score: 1e-4, map: 1e-2 },
  cuda: { score: 1e-2, map: 1e-1 },
};

/** Good images that a self-test holds; one more is made anomalous. */
const goodImages = 2;

/**
 * Two good images, and one with its upper half turned upside down, which no cloner has learned to follow, with
 * what they give now.
 * @param images uint8 [n, size, size, 3], n at least 2.
 * @param method the detector's own way to localize.
 */
export async function makeSelfTest(
  engine: ScoringEngine,
  detector: Scorer,
  images: Uint8Array,
  method: LocalizationMethod,
): Promise<SelfTest> {
  const imageBytes = detector.shape.inputSize ** 2 * 3;
  const turned = Uint8Array.from(images.subarray(0, imageBytes));
  turned.subarray(0, imageBytes / 2).reverse();
  const chosen = Buffer.concat([images.subarray(0, goodImages * imageBytes), turned]);
  const { outputs } = await engine.run(detector, chosen, method);
  return {
    images: chosen,
    count: goodImages + 1,
    scores: outputs.score,
    value: outputs.value,
    direction: outputs.direction,
    maps: outputs.map ?? new Float32Array(),
  };
}

/** What a self-test found: the largest differences, relative as {@link selfTestTolerance} says. */
export interface SelfTestReport {
  readonly images: number;
  readonly scoreDifference: number;
  readonly mapDifference: number;
}

/**
 * A detector that has passed its self-test, without it.
 * @throws DetectorError when a score or map differs by more than allowed.
 */
export async function verified(
  engine: ScoringEngine,
  detector: UnverifiedDetector,
): Promise<{ readonly detector: LoadedDetector; readonly report: SelfTestReport }> {
  const report = await runSelfTest(engine, detector);
  return { detector: withoutSelfTest(detector), report };
}

/** Scores the self-test's images. @throws DetectorError when a score or map differs by more than allowed. */
export async function runSelfTest(
  engine: ScoringEngine,
  detector: UnverifiedDetector,
): Promise<SelfTestReport> {
  const { selfTest, manifest } = detector;
  const tolerance = manifest.selfTest.tolerance[engine.provider];
  const { outputs } = await engine.run(detector, selfTest.images, manifest.localization);
  // Good images may score near 0: there a relative difference would say nothing.
  const largestScore = selfTest.scores.reduce((largest, score) => Math.max(largest, Math.abs(score)), 0);
  const scoreDifference = Math.max(
    largestDifference(outputs.score, selfTest.scores, () => largestScore),
    largestDifference(outputs.value, selfTest.value, () => Math.max(...selfTest.value)),
    largestDifference(outputs.direction, selfTest.direction, () => Math.max(...selfTest.direction)),
  );
  const brightest = selfTest.maps.reduce((largest, entry) => Math.max(largest, entry), 0);
  const mapDifference = largestDifference(outputs.map ?? new Float32Array(), selfTest.maps, () => brightest);
  const report = { images: selfTest.count, scoreDifference, mapDifference };
  for (const [what, difference, allowed] of [
    ['scores', scoreDifference, tolerance.score],
    ['maps', mapDifference, tolerance.map],
  ] as const) {
    if (difference <= allowed) continue;
    throw new DetectorError(
      `the self-test failed: ${what} differ by ${difference.toExponential(1)} from what the detector gave ` +
        `when it was distilled; at most ${allowed} is allowed on ${engine.provider}`,
    );
  }
  return report;
}

/** Infinity where lengths differ or a number is none. */
function largestDifference(
  actual: Float32Array,
  expected: Float32Array,
  scale: (expected: number) => number,
): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (const [index, value] of expected.entries()) {
    const difference = Math.abs((actual[index] as number) - value) / Math.max(scale(value), 1e-12);
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  }
  return largest;
}
