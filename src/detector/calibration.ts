/** What a detector learns about good images it was not trained on: thresholds of scores and maps. */

import { concatenated } from '../runtime/index.js';
import type { ScoringEngine } from './engine.js';
import type { Scorer } from './loaded-detector.js';
import type { Manifest } from './manifest.js';

/** SmoothGrad is fifty times as dear as a gradient: its scale is measured on this many images. */
const smoothGradImages = 2;

/** Share of the pixels of good images that lie below the threshold of maps. */
const quietShare = 0.998;

/** Images scored together. */
const batch = 8;

/**
 * The threshold is the highest score among n held-back good images. For exchangeable images the chance that a
 * new good one lies above it is at most 1 / (n + 1), whatever the distribution (conformal prediction). Maps are
 * judged pixel by pixel: all but two of a thousand pixels of good images lie below the map threshold.
 *
 * @param images uint8 [n, size, size, 3]
 */
export async function calibrate(
  engine: ScoringEngine,
  detector: Scorer,
  images: Uint8Array,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<Manifest['calibration']> {
  const imageBytes = detector.shape.inputSize ** 2 * 3;
  const total = images.length / imageBytes;
  const scores: number[] = [];
  const gradients: Float32Array[] = [];
  const guided: Float32Array[] = [];
  for (let from = 0; from < total; from += batch) {
    const part = images.subarray(from * imageBytes, (from + batch) * imageBytes);
    const { outputs } = await engine.run(detector, part, 'gradient');
    scores.push(...outputs.score);
    gradients.push(outputs.map ?? new Float32Array());
    guided.push((await engine.run(detector, part, 'guided')).outputs.map ?? new Float32Array());
    onProgress(Math.min(from + batch, total), total);
  }
  const few = images.subarray(0, smoothGradImages * imageBytes);
  const smooth = (await engine.run(detector, few, 'smoothgrad')).outputs.map ?? new Float32Array();
  const gradientOfFew = (gradients[0] ?? new Float32Array()).subarray(0, smooth.length);
  const gradient = quantile(gradients, quietShare);
  const ratio = quantile([smooth], quietShare) / Math.max(quantile([gradientOfFew], quietShare), 1e-12);
  scores.sort((a, b) => a - b);
  return {
    scores,
    threshold: scores.at(-1) as number,
    falseAlarmRate: 1 / (scores.length + 1),
    mapThresholds: { gradient, guided: quantile(guided, quietShare), smoothgrad: gradient * ratio },
  };
}

/** The smallest entry that `share` of all entries do not exceed. */
function quantile(parts: readonly Float32Array[], share: number): number {
  const all = concatenated(parts);
  all.sort();
  return all[Math.min(all.length - 1, Math.ceil(share * all.length) - 1)] ?? 0;
}
