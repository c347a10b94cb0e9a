/** The report of an evaluation, computed from measured scores and maps. */
import type { TestImage } from '../datasets/index.js';
import type { LoadedDetector, LocalizationMethod } from '../detector/index.js';
import { type Verdict, verdictOf } from '../detector/index.js';
import { shortest } from '../files/decimals.js';
import { bootstrapInterval, type Interval } from './bootstrap.js';
import {
  histogramAuroc,
  type JudgedMap,
  type PixelFigures,
  pixelFigures,
  pixelHistograms,
} from './pixel-figures.js';
import { auroc, averagePrecision, type BestF1, bestF1, type Curves, curvesOf } from './ranking.js';
import { type TermFigures, termFigures } from './term-figures.js';

/** Figures over image scores: defective images against good ones. */
export interface ImageFigures {
  /** Area under the ROC curve. */
  readonly imageAuroc: number;
  readonly imageAveragePrecision: number;
  readonly imageBestF1: BestF1;
  /** Share of defective images above the detector's threshold. */
  readonly detectionRate: number;
}

/** Figures over pixels; null if there are no masks. */
export type PixelFiguresOrNull = PixelFigures | { readonly [Name in keyof PixelFigures]: null };

/** Figures of one kind of defect, against all good images. */
export type KindFigures = ImageFigures & PixelFiguresOrNull & { readonly images: number };

/** Numbers of images. */
export interface Confusion {
  readonly truePositives: number;
  readonly falsePositives: number;
  readonly trueNegatives: number;
  readonly falseNegatives: number;
}

/** What `mkd evaluate` prints, and writes as JSON. */
export type EvaluationReport = ImageFigures &
  PixelFiguresOrNull & {
    readonly schema: 'mkd.evaluation/3';
    readonly dataset: string;
    readonly detectorVersion: string;
    readonly images: {
      readonly good: number;
      readonly defective: number;
      /** Paths of images that the detector was trained on; if there are any, figures are too good. */
      readonly learned: readonly string[];
      /** Paths of good images that are near-copies of training images: they score lower than new parts. */
      readonly nearCopies: readonly string[];
      /** Paths of defective images without a mask; they are not in the pixel figures. */
      readonly withoutMask: readonly string[];
      /** Paths of defective images whose mask marks no pixel; all their pixels count as good. */
      readonly unmarked: readonly string[];
    };
    readonly threshold: number;
    /** Method of the maps of the pixel figures; null if there are no masks. */
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
    /** Verdicts at the detector's threshold; a defective image is a positive. */
    readonly confusion: Confusion;
    /** Curves over image scores. */
    readonly curves: Curves;
    /** Each image, in the order of the data set. */
    readonly scores: readonly {
      readonly path: string;
      readonly kind: string;
      readonly anomalous: boolean;
      readonly score: number;
      readonly verdict: Verdict;
    }[];
    readonly kinds: Readonly<Record<string, KindFigures>>;
    readonly terms: readonly TermFigures[];
    /** Means per image, in batches of eight. */
    readonly timings: { readonly decodeMs: number; readonly inferenceMs: number };
  };

/** A judged map, and the path of its image. */
export interface JudgedImage extends JudgedMap {
  readonly path: string;
}

/** What an evaluation measures: scores [N], discrepancies [N, L], and the maps that have masks. */
export interface Measured {
  readonly images: readonly TestImage[];
  readonly score: Float32Array;
  readonly value: Float32Array;
  readonly direction: Float32Array;
  /** [N], or empty if there is no discrepancy map. */
  readonly peak: Float32Array;
  /** Of all images that are good or have a mask; empty for method `none`. */
  readonly maps: readonly JudgedImage[];
  readonly method: LocalizationMethod | 'none';
  /** Paths of images that the detector was trained on. */
  readonly learned: readonly string[];
  /** Paths of other good images that are near-copies of training images. */
  readonly nearCopies: readonly string[];
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
  const kinds = [...new Set(images.filter(({ anomalous }) => anomalous).map(({ kind }) => kind))];
  const pixels = pixelFiguresOf(maps);
  const perImageMs = (seconds: number): number => (1000 * seconds) / images.length;
  return {
    schema: 'mkd.evaluation/3',
    dataset,
    detectorVersion: version,
    images: {
      good: good.length,
      defective: defective.length,
      learned: measured.learned,
      nearCopies: measured.nearCopies,
      withoutMask: pathsOf(images.filter(({ anomalous, masks }) => anomalous && masks.length === 0)),
      unmarked: pathsOf(maps.filter(({ anomalous, regions }) => anomalous && regions.length === 0)),
    },
    threshold,
    localization: method === 'none' ? null : method,
    ...imageFigures(defective, good, threshold),
    ...pixels,
    falseAlarmRate: shareAbove(good, threshold),
    intervals: {
      imageAuroc: imageInterval(auroc, defective, good, bootstrap),
      imageAveragePrecision: imageInterval(averagePrecision, defective, good, bootstrap),
      pixelAuroc: pixels.pixelAuroc === null ? null : pixelInterval(maps, bootstrap),
      ...bootstrap,
    },
    confusion: confusionOf(defective, good, threshold),
    curves: curvesOf(defective, good),
    scores: images.map(({ path, kind, anomalous }, index) => {
      const own = score[index] as number;
      return { path, kind, anomalous, score: shortest(own), verdict: verdictOf(own, threshold) };
    }),
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
    terms: termFigures(manifest, measured),
    timings: {
      decodeMs: perImageMs(measured.decodeSeconds),
      inferenceMs: perImageMs(measured.inferenceSeconds),
    },
  };
}

function confusionOf(defective: Float32Array, good: Float32Array, threshold: number): Confusion {
  const above = (scores: Float32Array): number => scores.filter((score) => score > threshold).length;
  const [truePositives, falsePositives] = [above(defective), above(good)];
  return {
    truePositives,
    falsePositives,
    trueNegatives: good.length - falsePositives,
    falseNegatives: defective.length - truePositives,
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

/** Images with and without marked pixels are drawn separately, so that every sample has an AUROC. */
function pixelInterval(
  maps: readonly JudgedMap[],
  bootstrap: { readonly resamples: number; readonly seed: number },
): Interval {
  const histograms = pixelHistograms(maps);
  const groups = [true, false].map((marked) =>
    histograms.filter((_, index) => (maps[index] as JudgedMap).regions.length > 0 === marked),
  );
  return bootstrapInterval(groups, (sample) => histogramAuroc(sample.flat()), bootstrap);
}

function pathsOf(images: readonly { readonly path: string }[]): string[] {
  return images.map(({ path }) => path);
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
