/**
 * Figures over the pixels of localization maps: AUROC, average precision, and the overlap with each defect region. All
 * pixels of good images count as good.
 */
import { labelComponents } from '../imaging/index.js';
import { concatenated } from '../runtime/index.js';
import { auroc, averagePrecision, partialAurocSorted } from './ranking.js';

/** Largest false-positive rate of AUPRO (Bergmann et al. 2021, section 5.2). */
const proLimit = 0.3;

/** The map of one image, split by its mask. */
export interface JudgedMap {
  readonly kind: string;
  readonly anomalous: boolean;
  /** Map entries of each connected defect region; empty for a good image. */
  readonly regions: readonly Float32Array[];
  /** Map entries outside all defects. */
  readonly clean: Float32Array;
}

/** Splits a map. @param mask not 0 where defective, in the size of the map; undefined for a good image. */
export function judgeMap(
  kind: string,
  map: { readonly width: number; readonly values: Float32Array },
  mask: Uint8Array | undefined,
): JudgedMap {
  if (!mask) return { kind, anomalous: false, regions: [], clean: map.values };
  const { labels, count } = labelComponents(mask, map.width);
  const entriesOf = (label: number): Float32Array => map.values.filter((_, pixel) => labels[pixel] === label);
  const regions = Array.from({ length: count }, (_, index) => entriesOf(index + 1));
  return { kind, anomalous: true, regions, clean: entriesOf(0) };
}

export interface PixelFigures {
  /** Over all images given. */
  readonly pixelAuroc: number;
  /** Without good images, as the paper's code computes it. */
  readonly pixelAurocDefectiveOnly: number;
  readonly pixelAveragePrecision: number;
  /**
   * Area under the curve of per-region overlap over false-positive rate, up to a rate of 0.3, in 0..1. The overlap is a
   * mean over regions, so the area is the mean of the areas of single regions.
   */
  readonly aupro: number;
}

/** Returns null if no mask marks a pixel, or if all pixels are marked. */
export function pixelFigures(maps: readonly JudgedMap[]): PixelFigures | null {
  const regions = maps.flatMap((map) => map.regions);
  const defect = concatenated(regions);
  const clean = concatenated(maps.map((map) => map.clean));
  const cleanOfDefective = concatenated(maps.filter(({ anomalous }) => anomalous).map((map) => map.clean));
  if (defect.length === 0 || cleanOfDefective.length === 0) return null;
  clean.sort();
  const overlaps = regions.map((region) => partialAurocSorted(region, clean, proLimit));
  return {
    pixelAuroc: auroc(defect, clean),
    pixelAurocDefectiveOnly: auroc(defect, cleanOfDefective),
    pixelAveragePrecision: averagePrecision(defect, clean),
    aupro: overlaps.reduce((sum, overlap) => sum + overlap, 0) / overlaps.length,
  };
}

/** Bins of a histogram over map entries; more change only the fourth digit of an interval. */
const bins = 512;

/** Histograms of the defect and the clean entries of one image, over bins that all images share. */
export interface PixelHistogram {
  readonly defect: Float64Array;
  readonly clean: Float64Array;
}

/** Returns histograms with equally filled bins, which make the pixel AUROC of a sample of images fast. */
export function pixelHistograms(maps: readonly JudgedMap[]): PixelHistogram[] {
  const all = concatenated(maps.flatMap((map) => [...map.regions, map.clean])).sort();
  const edges = Float32Array.from(
    { length: bins - 1 },
    (_, bin) => all[Math.floor(((bin + 1) * all.length) / bins)] ?? 0,
  );
  const count = (parts: readonly Float32Array[]): Float64Array => {
    const histogram = new Float64Array(bins);
    for (const part of parts) {
      for (const entry of part) histogram[binOf(entry, edges)] = (histogram[binOf(entry, edges)] ?? 0) + 1;
    }
    return histogram;
  };
  return maps.map((map) => ({ defect: count(map.regions), clean: count([map.clean]) }));
}

/** Returns the pixel AUROC of images given by their histograms; images may occur more than once. */
export function histogramAuroc(sample: readonly PixelHistogram[]): number {
  const defect = new Float64Array(bins);
  const clean = new Float64Array(bins);
  for (const image of sample) {
    for (let bin = 0; bin < bins; bin++) {
      defect[bin] = (defect[bin] as number) + (image.defect[bin] as number);
      clean[bin] = (clean[bin] as number) + (image.clean[bin] as number);
    }
  }
  let below = 0;
  let wins = 0;
  let positives = 0;
  for (let bin = 0; bin < bins; bin++) {
    const negatives = clean[bin] as number;
    wins += (defect[bin] as number) * (below + negatives / 2);
    below += negatives;
    positives += defect[bin] as number;
  }
  return wins / (positives * below);
}

/** Returns the number of edges at or below an entry. */
function binOf(entry: number, edges: Float32Array): number {
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((edges[middle] as number) <= entry) low = middle + 1;
    else high = middle;
  }
  return low;
}
