/** What a detector learns about good images it was not trained on: thresholds of scores and maps. */

import type { ScoringEngine } from './engine.js';
import type { LoadedDetector } from './loaded-detector.js';
import type { Manifest } from './manifest.js';

/** SmoothGrad is fifty times as dear as a gradient: its scale is measured on this many images. */
const smoothGradImages = 2;

/**
 * The threshold is the highest score among n held-back good images. For exchangeable images the chance that a
 * new good one lies above it is at most 1 / (n + 1), whatever the distribution (conformal prediction).
 *
 * @param images uint8 [n, size, size, 3]
 */
export async function calibrate(
  engine: ScoringEngine,
  detector: LoadedDetector,
  images: Uint8Array,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<Manifest['calibration']> {
  const imageBytes = detector.shape.inputSize ** 2 * 3;
  const total = images.length / imageBytes;
  const scores: number[] = [];
  const peaks = { gradient: 0, guided: 0 };
  let gradientOfFew = 0;
  const step = 8;
  for (let from = 0; from < total; from += step) {
    const part = images.subarray(from * imageBytes, (from + step) * imageBytes);
    const { outputs } = await engine.run(detector, part, 'gradient');
    scores.push(...outputs.score);
    peaks.gradient = Math.max(peaks.gradient, peakOf(outputs.map));
    const plane = detector.shape.inputSize ** 2;
    if (from === 0) gradientOfFew = peakOf(outputs.map?.subarray(0, smoothGradImages * plane));
    peaks.guided = Math.max(peaks.guided, peakOf((await engine.run(detector, part, 'guided')).outputs.map));
    onProgress(Math.min(from + step, total), total);
  }
  const few = await engine.run(detector, images.subarray(0, smoothGradImages * imageBytes), 'smoothgrad');
  const ratio = gradientOfFew > 0 ? peakOf(few.outputs.map) / gradientOfFew : 1;
  scores.sort((a, b) => a - b);
  return {
    scores,
    threshold: scores.at(-1) as number,
    falseAlarmRate: 1 / (scores.length + 1),
    mapThresholds: { ...peaks, smoothgrad: peaks.gradient * ratio },
  };
}

function peakOf(map: Float32Array | undefined): number {
  let peak = 0;
  for (const value of map ?? []) if (value > peak) peak = value;
  return peak;
}
