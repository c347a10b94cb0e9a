/** Measures scores and maps of good images, for thresholds. */
import {
  type GoodImages,
  hasDiscrepancyMap,
  type LocalizationMethod,
  type Scorer,
} from '../detector/index.js';
import { countedValues, firstTile, type ScaledImage } from '../imaging/index.js';
import { concatenated } from '../runtime/index.js';
import type { ScoringPipeline } from './pipeline.js';

/** SmoothGrad costs as much as fifty gradients: its scale is measured on this many images. */
const smoothGradImages = 2;

/** Share of the pixels of good images that lie below the threshold of maps. */
export const mapQuantile = 0.998;

/** Images decoded and scored together. */
const imagesAtOnce = 8;

/** Returns a decoded image. Images are decoded a few at a time, so that few are in memory. */
export type ImageSource = () => Promise<ScaledImage>;

export interface MeasureOptions {
  readonly onProgress?: (done: number, total: number) => void;
  /** Whether SmoothGrad is measured, which takes as long as a hundred gradients; otherwise it has the gradient's threshold. */
  readonly smoothGrad?: boolean;
}

/**
 * Scores good images and measures their maps, pixel by pixel.
 * @returns scores in the order of the images.
 */
export async function measureGoodImages(
  pipeline: ScoringPipeline,
  scorer: Scorer,
  images: readonly ImageSource[],
  { onProgress, smoothGrad = true }: MeasureOptions = {},
): Promise<GoodImages> {
  const hasMap = hasDiscrepancyMap(scorer.shape.cloner);
  const methods = ['gradient', 'guided', ...(hasMap ? (['discrepancy'] as const) : [])] as const;
  const layers = scorer.shape.scoringLayers;
  const scores: number[] = [];
  const directions = Object.fromEntries(layers.map((layer) => [layer, [] as number[]]));
  const entries = new Map<string, Float32Array[]>(methods.map((method) => [method, []]));
  const few: ScaledImage[] = [];
  onProgress?.(0, images.length);
  for (let from = 0; from < images.length; from += imagesAtOnce) {
    const part = await Promise.all(images.slice(from, from + imagesAtOnce).map((image) => image()));
    few.push(...part.slice(0, smoothGradImages - few.length).map(firstTile));
    for (const [at, method] of methods.entries()) {
      const { images: scored } = await pipeline.infer(scorer, part, { map: method });
      for (const [row, { outputs, index, map }] of scored.entries()) {
        if (method === 'gradient') {
          scores.push(outputs.score[index] as number);
          for (const [column, layer] of layers.entries()) {
            directions[layer]?.push(outputs.direction[index * layers.length + column] as number);
          }
        }
        const { grid } = part[row] as ScaledImage;
        const values = map ? countedValues(map, grid, scorer.input.region) : new Float32Array();
        entries.get(method)?.push(sampled(values, images.length));
      }
      onProgress?.(from + Math.floor((part.length * (at + 1)) / methods.length), images.length);
    }
  }
  const threshold = (method: string): number => quantile(entries.get(method) ?? [], mapQuantile);
  const gradient = threshold('gradient');
  for (const list of Object.values(directions)) list.sort((a, b) => a - b);
  return {
    scores,
    directions,
    mapThresholds: {
      gradient,
      guided: threshold('guided'),
      smoothgrad: gradient * (smoothGrad ? await smoothGradRatio(pipeline, scorer, few) : 1),
      // With few good images the threshold may be 0. Less than one deviation never counts as anomalous.
      ...(hasMap ? { discrepancy: Math.max(1, threshold('discrepancy')) } : {}),
    },
  };
}

/** Returns how much larger SmoothGrad's maps are than those of plain gradients, over a few tiles. */
async function smoothGradRatio(
  pipeline: ScoringPipeline,
  scorer: Scorer,
  tiles: readonly ScaledImage[],
): Promise<number> {
  const reach = async (map: LocalizationMethod): Promise<number> => {
    const { images } = await pipeline.infer(scorer, tiles, { map });
    return quantile(
      [concatenated(images.map((image) => image.map?.values ?? new Float32Array()))],
      mapQuantile,
    );
  };
  return (await reach('smoothgrad')) / Math.max(await reach('gradient'), 1e-12);
}

/** Most entries kept of one map, and of all maps of a kind: enough for a quantile, 16 MiB of each kind. */
const mostEntries = { ofMap: 65_536, ofKind: 2 ** 22 };

/** @param images number of maps of this kind. */
function sampled(values: Float32Array, images: number): Float32Array {
  const most = Math.min(mostEntries.ofMap, Math.ceil(mostEntries.ofKind / images));
  const step = Math.ceil(values.length / most);
  return step <= 1 ? values : values.filter((_, at) => at % step === 0);
}

/** Returns the smallest entry that `share` of all entries do not exceed. */
export function quantile(parts: readonly Float32Array[], share: number): number {
  const all = concatenated(parts);
  all.sort();
  return all[Math.min(all.length - 1, Math.ceil(share * all.length) - 1)] ?? 0;
}
