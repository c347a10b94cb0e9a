/** What a detector learns about good images it was not trained on: thresholds of scores and maps. */
import { concatenated } from '../runtime/index.js';
import { conformalThreshold, supportedRate } from './conformal.js';
import type { ScoringEngine } from './engine.js';
import { layerScorer, type Scorer } from './loaded-detector.js';
import type { Manifest } from './manifest.js';

export type Calibration = Manifest['calibration'];

/** SmoothGrad is fifty times as dear as a gradient: its scale is measured on this many images. */
const smoothGradImages = 2;

/** Share of the pixels of good images that lie below the threshold of maps. */
const quietShare = 0.998;

/** Images scored together. */
const batch = 8;

export interface CalibrateOptions {
  /** What share of new good images may lie above the threshold; see {@link supportedRate}. */
  readonly falseAlarmRate?: number | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

/** What good images give: their scores, and what all but 0.2 % of the pixels of their maps stay below. */
export type GoodImages = Pick<Calibration, 'scores' | 'mapThresholds' | 'layerMapThresholds'>;

/**
 * Calibrates with good images that were not trained on.
 * @param images uint8 [n, size, size, 3]
 * @throws CalibrationError when they are too few for the false-alarm rate.
 */
export async function calibrate(
  engine: ScoringEngine,
  detector: Scorer,
  images: Uint8Array,
  options: CalibrateOptions = {},
): Promise<Calibration> {
  supportedRate(images.length / detector.shape.inputSize ** 2 / 3, options.falseAlarmRate);
  return calibration(await measureGoodImages(engine, detector, images, options), options.falseAlarmRate);
}

/** The calibration that follows from good images. @throws CalibrationError when they are too few. */
export function calibration({ scores, ...maps }: GoodImages, falseAlarmRate?: number): Calibration {
  const rate = supportedRate(scores.length, falseAlarmRate);
  return {
    scores: [...scores].sort((a, b) => a - b),
    threshold: conformalThreshold(scores, rate),
    falseAlarmRate: rate,
    ...maps,
  };
}

/**
 * Scores good images and measures their maps, pixel by pixel.
 * @param images uint8 [n, size, size, 3]
 * @returns scores in the order of the images.
 */
export async function measureGoodImages(
  engine: ScoringEngine,
  detector: Scorer,
  images: Uint8Array,
  { onProgress }: Pick<CalibrateOptions, 'onProgress'> = {},
): Promise<GoodImages> {
  const imageBytes = detector.shape.inputSize ** 2 * 3;
  const total = images.length / imageBytes;
  const scores: number[] = [];
  const gradients: Float32Array[] = [];
  const guided: Float32Array[] = [];
  const discrepancies: Float32Array[] = [];
  const byLayer = new Map<string, Float32Array[]>(
    Object.keys(detector.layerFeeds).map((layer) => [layer, []]),
  );
  for (let from = 0; from < total; from += batch) {
    const part = images.subarray(from * imageBytes, (from + batch) * imageBytes);
    const { outputs } = await engine.run(detector, part, 'gradient');
    scores.push(...outputs.score);
    gradients.push(outputs.map ?? new Float32Array());
    guided.push((await engine.run(detector, part, 'guided')).outputs.map ?? new Float32Array());
    if (detector.shape.positions) {
      discrepancies.push((await engine.run(detector, part, 'discrepancy')).outputs.map ?? new Float32Array());
    }
    for (const [layer, maps] of byLayer) {
      const ofLayer = await engine.run(layerScorer(detector, layer), part, 'discrepancy');
      maps.push(ofLayer.outputs.map ?? new Float32Array());
    }
    onProgress?.(Math.min(from + batch, total), total);
  }
  const few = images.subarray(0, smoothGradImages * imageBytes);
  const smooth = (await engine.run(detector, few, 'smoothgrad')).outputs.map ?? new Float32Array();
  const gradientOfFew = (gradients[0] ?? new Float32Array()).subarray(0, smooth.length);
  const gradient = quantile(gradients, quietShare);
  const ratio = quantile([smooth], quietShare) / Math.max(quantile([gradientOfFew], quietShare), 1e-12);
  return {
    scores,
    mapThresholds: {
      gradient,
      guided: quantile(guided, quietShare),
      smoothgrad: gradient * ratio,
      ...(discrepancies.length > 0 ? { discrepancy: quantile(discrepancies, quietShare) } : {}),
    },
    ...(byLayer.size > 0
      ? {
          layerMapThresholds: Object.fromEntries(
            [...byLayer].map(([layer, maps]) => [layer, quantile(maps, quietShare)]),
          ),
        }
      : {}),
  };
}

/** The smallest entry that `share` of all entries do not exceed. */
function quantile(parts: readonly Float32Array[], share: number): number {
  const all = concatenated(parts);
  all.sort();
  return all[Math.min(all.length - 1, Math.ceil(share * all.length) - 1)] ?? 0;
}
