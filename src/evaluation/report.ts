/** The figures of an evaluation, from what was measured to what is printed and written as JSON. */
import type { TestImage } from '../datasets/index.js';
import type { LoadedDetector, LocalizationMethod } from '../detector/index.js';
import { bootstrapInterval, type Interval } from './bootstrap.js';
import {
  histogramAuroc,
  type JudgedMap,
  type PixelFigures,
  pixelFigures,
  pixelHistograms,
} from './pixel-figures.js';
import { auroc, averagePrecision, type BestF1, bestF1 } from './ranking.js';

/** Figures over image scores: defective images against good ones. */
export interface ImageFigures {
  /** Area under the ROC curve. */
  readonly imageAuroc: number;
  readonly imageAveragePrecision: number;
  readonly imageBestF1: BestF1;
  /** Share of defective images above the detector's threshold. */
  readonly detectionRate: number;
}

/** Figures over pixels; null where there are no masks. */
export type PixelFiguresOrNull = PixelFigures | { readonly [Name in keyof PixelFigures]: null };

/** Figures of one kind of defect, against all good images. */
export type KindFigures = ImageFigures & PixelFiguresOrNull & { readonly images: number };

/** How one term of the score separates by itself. */
export interface TermFigures {
  /** Critical layer; `map` for the peak of the discrepancy map. */
  readonly layer: string;
  readonly term: 'value' | 'direction' | 'neighbor' | 'peak';
  readonly imageAuroc: number;
}

/** What `mkd evaluate` prints, and writes as JSON. */
export type EvaluationReport = ImageFigures &
  PixelFiguresOrNull & {
    readonly schema: 'mkd.evaluation/2';
    readonly dataset: string;
    readonly detectorVersion: string;
    readonly images: {
      readonly good: number;
      readonly defective: number;
      /** Of them all, those that the detector has learned from; figures are too good where there are any. */
      readonly learned: number;
      /** Defective ones that have no mask, where others have: they are not in the pixel figures. */
      readonly withoutMask: number;
      /** Defective ones whose mask marks no pixel: all of theirs are good ones in the pixel figures. */
      readonly unmarked: number;
    };
    readonly threshold: number;
    /** Where the maps of the pixel figures come from; null where there are no masks. */
    readonly localization: LocalizationMethod | null;
    /** Share of good images above the threshold. */
    readonly falseAlarmRate: number;
    /** 95 % bootstrap intervals over the test images. */
    readonly intervals: {
      readonly imageAuroc: Interval;
      readonly imageAveragePrecision: Interval;
      readonly pixelAuroc: Interval | null;
      readonly resamples: number;
      readonly seed: number;
    };
    readonly kinds: Readonly<Record<string, KindFigures>>;
    readonly terms: readonly TermFigures[];
    /** Means over the images, batches of eight. */
    readonly timings: { readonly decodeMs: number; readonly inferenceMs: number };
  };

/** What an evaluation measures: scores [N], discrepancies [N, L], and the maps that have masks. */
export interface Measured {
  readonly images: readonly TestImage[];
  readonly score: Float32Array;
  readonly value: Float32Array;
  readonly direction: Float32Array;
  /** [N, L], or empty where the nearest good image does not count. */
  readonly neighbor: Float32Array;
  /** [N], or empty where positions are not compared. */
  readonly peak: Float32Array;
  readonly maps: readonly JudgedMap[];
  readonly method: LocalizationMethod | 'none';
  /** Images that the detector has learned from. */
  readonly learned: number;
  readonly decodeSeconds: number;
  readonly inferenceSeconds: number;
}

export function makeReport(
  dataset: string,
  { manifest, version }: LoadedDetector,
  measured: Measured,
  bootstrap: { readonly resamples: number; readonly seed: number },
): EvaluationReport {
  const { images, score, maps, method } = measured;
  const { threshold } = manifest.calibration;
  const good = where(score, images, ({ anomalous }) => !anomalous);
  const defective = where(score, images, ({ anomalous }) => anomalous);
  const withoutMask = images.filter(({ anomalous, mask }) => anomalous && mask === undefined).length;
  const kinds = [...new Set(images.filter(({ anomalous }) => anomalous).map(({ kind }) => kind))];
  const perImageMs = (seconds: number): number => (1000 * seconds) / images.length;
  return {
    schema: 'mkd.evaluation/2',
    dataset,
    detectorVersion: version,
    images: {
      good: good.length,
      defective: defective.length,
      learned: measured.learned,
      withoutMask,
      unmarked: maps.filter(({ anomalous, regions }) => anomalous && regions.length === 0).length,
    },
    threshold,
    localization: method === 'none' ? null : method,
    ...imageFigures(defective, good, threshold),
    ...pixelFiguresOf(maps),
    falseAlarmRate: shareAbove(good, threshold),
    intervals: {
      imageAuroc: imageInterval(auroc, defective, good, bootstrap),
      imageAveragePrecision: imageInterval(averagePrecision, defective, good, bootstrap),
      pixelAuroc: pixelInterval(maps, bootstrap),
      ...bootstrap,
    },
    kinds: Object.fromEntries(
      kinds.map((kind) => {
        const scores = where(score, images, (image) => image.anomalous && image.kind === kind);
        const ofKind = maps.filter((map) => !map.anomalous || map.kind === kind);
        const figures: KindFigures = {
          images: scores.length,
          ...imageFigures(scores, good, threshold),
          ...pixelFiguresOf(ofKind),
        };
        return [kind, figures];
      }),
    ),
    terms: termFigures(manifest.scoringLayers, measured),
    timings: {
      decodeMs: perImageMs(measured.decodeSeconds),
      inferenceMs: perImageMs(measured.inferenceSeconds),
    },
  };
}

function imageFigures(defective: Float32Array, good: Float32Array, threshold: number): ImageFigures {
  return {
    imageAuroc: auroc(defective, good),
    imageAveragePrecision: averagePrecision(defective, good),
    imageBestF1: bestF1(defective, good),
    detectionRate: shareAbove(defective, threshold),
  };
}

const noPixels = {
  pixelAuroc: null,
  pixelAurocDefectiveOnly: null,
  pixelAveragePrecision: null,
  aupro: null,
} as const;

function pixelFiguresOf(maps: readonly JudgedMap[]): PixelFiguresOrNull {
  return pixelFigures(maps) ?? noPixels;
}

function termFigures(
  layers: readonly string[],
  { images, value, direction, neighbor, peak }: Measured,
): TermFigures[] {
  const separation = (term: Float32Array): number => {
    const of = (anomalous: boolean) => where(term, images, (image) => image.anomalous === anomalous);
    return auroc(of(true), of(false));
  };
  const column = (all: Float32Array, at: number) => all.filter((_, entry) => entry % layers.length === at);
  const figures = layers.flatMap((layer, at): TermFigures[] => [
    { layer, term: 'value', imageAuroc: separation(column(value, at)) },
    { layer, term: 'direction', imageAuroc: separation(column(direction, at)) },
    ...(neighbor.length > 0
      ? [{ layer, term: 'neighbor', imageAuroc: separation(column(neighbor, at)) } as const]
      : []),
  ]);
  return peak.length > 0
    ? [...figures, { layer: 'map', term: 'peak', imageAuroc: separation(peak) }]
    : figures;
}

function imageInterval(
  figure: (positives: Float32Array, negatives: Float32Array) => number,
  defective: Float32Array,
  good: Float32Array,
  bootstrap: { readonly resamples: number; readonly seed: number },
): Interval {
  return bootstrapInterval(
    [[...defective], [...good]],
    ([positives = [], negatives = []]) => figure(Float32Array.from(positives), Float32Array.from(negatives)),
    bootstrap,
  );
}

function pixelInterval(
  maps: readonly JudgedMap[],
  bootstrap: { readonly resamples: number; readonly seed: number },
): Interval | null {
  if (!maps.some(({ regions }) => regions.length > 0)) return null;
  const histograms = pixelHistograms(maps);
  const groups = [true, false].map((anomalous) =>
    histograms.filter((image) => image.anomalous === anomalous),
  );
  return bootstrapInterval(groups, (sample) => histogramAuroc(sample.flat()), bootstrap);
}

function where(
  scores: Float32Array,
  images: readonly TestImage[],
  wanted: (image: TestImage) => boolean,
): Float32Array {
  return scores.filter((_, index) => wanted(images[index] as TestImage));
}

function shareAbove(scores: Float32Array, threshold: number): number {
  return scores.filter((score) => score > threshold).length / scores.length;
}
