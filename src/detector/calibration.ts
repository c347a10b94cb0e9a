/** What a detector learns about good images it was not trained on: thresholds of scores and maps. */
import { type ScaledImage, tilePixels } from '../imaging/index.js';
import { concatenated } from '../runtime/index.js';
import { conformalThreshold, supportedRate } from './conformal.js';
import type { ScoringEngine } from './engine.js';
import { layerScorer, type Scorer } from './loaded-detector.js';
import type { Manifest, Terms } from './manifest.js';
import { scoreRounding } from './rounding.js';
import { scoreImages } from './score-images.js';
import type { LocalizationMethod } from './serving-model.js';

export type Calibration = Manifest['calibration'];

/** SmoothGrad is fifty times as dear as a gradient: its scale is measured on this many images. */
const smoothGradImages = 2;

/** Share of the pixels of good images that lie below the threshold of maps. */
const quietShare = 0.998;

/** Images scored together. */
const batch = 8;

export interface MeasureOptions {
  readonly onProgress?: (done: number, total: number) => void;
}

/** What good images give: their scores and discrepancies, and what all but 0.2 % of the pixels of their maps stay below. */
export type GoodImages = Pick<Calibration, 'scores' | 'directions' | 'mapThresholds' | 'layerMapThresholds'>;

/** Gives a decoded image; images are decoded one after another, so that few are in memory. */
export type ImageSource = () => Promise<ScaledImage>;

/**
 * The calibration that follows from good images. The one whose score sets the threshold stays good however its score is
 * rounded.
 * @param terms of the detector.
 * @throws CalibrationError when they are too few.
 */
export function calibration(
  { scores, ...maps }: GoodImages,
  terms: Terms,
  falseAlarmRate?: number,
): Calibration {
  const rate = supportedRate(scores.length, falseAlarmRate);
  const highestGood = conformalThreshold(scores, rate);
  return {
    scores: [...scores].sort((a, b) => a - b),
    threshold: highestGood + scoreRounding(terms, highestGood),
    falseAlarmRate: rate,
    ...maps,
  };
}

/**
 * Scores good images and measures their maps, pixel by pixel.
 * @returns scores in the order of the images.
 */
export async function measureGoodImages(
  engine: ScoringEngine,
  detector: Scorer,
  images: readonly ImageSource[],
  { onProgress }: MeasureOptions = {},
): Promise<GoodImages> {
  const scores: number[] = [];
  const kinds: MapKind[] = [
    { name: 'gradient', scorer: detector, method: 'gradient' },
    { name: 'guided', scorer: detector, method: 'guided' },
    ...(detector.shape.positions
      ? [{ name: 'discrepancy', scorer: detector, method: 'discrepancy' } as const]
      : []),
    ...Object.keys(detector.layerFeeds).map((layer): MapKind => {
      return { name: layerKey(layer), scorer: layerScorer(detector, layer), method: 'discrepancy' };
    }),
  ];
  const layers = detector.shape.scoringLayers;
  const directions = Object.fromEntries(layers.map((layer) => [layer, [] as number[]]));
  const quiet = new Map(kinds.map(({ name }) => [name, [] as Float32Array[]]));
  const few: Uint8Array[] = [];
  onProgress?.(0, images.length);
  for (let from = 0; from < images.length; from += batch) {
    const part = await Promise.all(images.slice(from, from + batch).map((image) => image()));
    for (const image of part.slice(0, smoothGradImages - few.length)) few.push(tilePixels(image, 0));
    for (const [at, { name, scorer, method }] of kinds.entries()) {
      const scored = await scoreImages(engine, scorer, part, method);
      for (const { outputs, index, map } of scored.images) {
        if (name === 'gradient') {
          scores.push(outputs.score[index] as number);
          for (const [at, layer] of layers.entries()) {
            directions[layer]?.push(outputs.direction[index * layers.length + at] as number);
          }
        }
        quiet.get(name)?.push(sampled(map?.values ?? new Float32Array()));
      }
      onProgress?.(from + Math.floor((part.length * (at + 1)) / kinds.length), images.length);
    }
  }
  const threshold = (name: string): number => quantile(quiet.get(name) ?? [], quietShare);
  // Few good images may show nothing at all above what is typical; less than a deviation is nothing all the same.
  const inDeviations = (name: string): number => Math.max(1, threshold(name));
  const gradient = threshold('gradient');
  const mapped = Object.keys(detector.layerFeeds);
  for (const list of Object.values(directions)) list.sort((a, b) => a - b);
  return {
    scores,
    directions,
    mapThresholds: {
      gradient,
      guided: threshold('guided'),
      smoothgrad: gradient * (await smoothGradRatio(engine, detector, Buffer.concat(few))),
      ...(detector.shape.positions ? { discrepancy: inDeviations('discrepancy') } : {}),
    },
    ...(mapped.length > 0
      ? {
          layerMapThresholds: Object.fromEntries(
            mapped.map((layer) => [layer, inDeviations(layerKey(layer))]),
          ),
        }
      : {}),
  };
}

/** A kind of map, and the scorer that gives it. */
interface MapKind {
  readonly name: string;
  readonly scorer: Scorer;
  readonly method: Exclude<LocalizationMethod, 'smoothgrad'>;
}

function layerKey(layer: string): string {
  return `layer ${layer}`;
}

/** How much larger than plain gradients' SmoothGrad's maps are, over a few tiles. */
async function smoothGradRatio(engine: ScoringEngine, detector: Scorer, tiles: Uint8Array): Promise<number> {
  const mapsBy = async (method: LocalizationMethod): Promise<number> => {
    const { outputs } = await engine.run(detector, tiles, method);
    return quantile([outputs.map ?? new Float32Array()], quietShare);
  };
  return (await mapsBy('smoothgrad')) / Math.max(await mapsBy('gradient'), 1e-12);
}

/** Entries kept of a map at most: enough for a quantile. */
const entriesOfMap = 65_536;

function sampled(values: Float32Array): Float32Array {
  const step = Math.ceil(values.length / entriesOfMap);
  return step === 1 ? values : values.filter((_, at) => at % step === 0);
}

/** The smallest entry that `share` of all entries do not exceed. */
function quantile(parts: readonly Float32Array[], share: number): number {
  const all = concatenated(parts);
  all.sort();
  return all[Math.min(all.length - 1, Math.ceil(share * all.length) - 1)] ?? 0;
}
