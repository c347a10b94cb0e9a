/** Makes and runs the self-test of a detector. */

import {
  DetectorError,
  type LoadedDetector,
  type LocalizationMethod,
  type Scorer,
  type SelfTest,
  type UnverifiedDetector,
  withoutSelfTest,
} from '../detector/index.js';
import { significant } from '../files/decimals.js';
import { areaOf, wholeImages } from '../imaging/index.js';
import { concatenated } from '../runtime/index.js';
import type { ScoringEngine } from './engine.js';
import { DirectInference } from './inference.js';
import { ScoringPipeline } from './pipeline.js';
import { rowsOf } from './raw-scores.js';

/** Good images in a self-test; one more is made anomalous. */
const goodImages = 2;

/**
 * Returns two good images, and one with its upper half turned upside down, which no cloner has learned to follow, with
 * the scores and maps they give now.
 * @param images uint8 [n, height, width, 3], n at least 2.
 * @param method the detector's own localization method.
 */
export async function makeSelfTest(
  engine: ScoringEngine,
  scorer: Scorer,
  images: Uint8Array,
  method: LocalizationMethod,
): Promise<SelfTest> {
  const imageBytes = areaOf(scorer.shape.inputSize) * 3;
  const turned = Uint8Array.from(images.subarray(0, imageBytes));
  turned.subarray(0, imageBytes / 2).reverse();
  const chosen = Buffer.concat([images.subarray(0, goodImages * imageBytes), turned]);
  return { images: chosen, count: goodImages + 1, ...(await results(engine, scorer, chosen, method)) };
}

/** What a self-test found: the largest differences, relative to the largest score and map entry. */
export interface SelfTestReport {
  readonly images: number;
  readonly scoreDifference: number;
  readonly mapDifference: number;
}

/**
 * Runs the self-test of a detector.
 * @returns the detector without its self-test, and what was found.
 * @throws DetectorError if a score or map differs by more than allowed.
 */
export async function verify(
  engine: ScoringEngine,
  detector: UnverifiedDetector,
): Promise<{ readonly detector: LoadedDetector; readonly report: SelfTestReport }> {
  const report = await runSelfTest(engine, detector);
  return { detector: withoutSelfTest(detector), report };
}

/** Scores the self-test's images. @throws DetectorError if a score or map differs by more than allowed. */
export async function runSelfTest(
  engine: ScoringEngine,
  detector: UnverifiedDetector,
): Promise<SelfTestReport> {
  const { selfTest, manifest } = detector;
  const tolerance = manifest.selfTest.tolerance[engine.provider];
  const found = await results(engine, detector, selfTest.images, manifest.localization);
  // Good images may score near 0, where a relative difference would say nothing.
  const scoreDifference = Math.max(
    largestDifference(found.scores, selfTest.scores),
    largestDifference(found.value, selfTest.value),
    largestDifference(found.direction, selfTest.direction),
  );
  const mapDifference = largestDifference(found.maps, selfTest.maps);
  for (const [what, difference, allowed] of [
    ['scores', scoreDifference, tolerance.score],
    ['maps', mapDifference, tolerance.map],
  ] as const) {
    if (difference <= allowed) continue;
    throw new DetectorError(
      `the self-test failed: ${what} differ by ${difference.toExponential(1)} from those ` +
        `at distillation; at most ${allowed} is allowed on ${engine.provider}`,
    );
  }
  return {
    images: selfTest.count,
    scoreDifference: significant(scoreDifference, 3),
    mapDifference: significant(mapDifference, 3),
  };
}

async function results(
  engine: ScoringEngine,
  scorer: Scorer,
  images: Uint8Array,
  map: LocalizationMethod,
): Promise<Omit<SelfTest, 'images' | 'count'>> {
  const pipeline = new ScoringPipeline(new DirectInference(engine));
  const found = await pipeline.infer(scorer, wholeImages(images, scorer.shape.inputSize), { map });
  return {
    scores: rowsOf(found.images, 'score'),
    value: rowsOf(found.images, 'value'),
    direction: rowsOf(found.images, 'direction'),
    maps: concatenated(found.images.map((image) => image.map?.values ?? new Float32Array())),
  };
}

/** Relative to the largest expected entry. Infinity if lengths differ or an entry is not a number. */
function largestDifference(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  const scale = expected.reduce((highest, entry) => Math.max(highest, Math.abs(entry)), 1e-12);
  let largest = 0;
  for (let index = 0; index < expected.length; index++) {
    const difference = Math.abs((actual[index] as number) - (expected[index] as number)) / scale;
    if (Number.isNaN(difference)) return Number.POSITIVE_INFINITY;
    largest = Math.max(largest, difference);
  }
  return largest;
}
