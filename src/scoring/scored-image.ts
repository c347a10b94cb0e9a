/** The result of an image: its score and the terms of the score. */
import {
  isLowestPValue,
  type LoadedDetector,
  type Meaning,
  pValue,
  scoreRounding,
  type Verdict,
  verdictOf,
} from '../detector/index.js';
import { shortest, significant } from '../files/decimals.js';
import { type PictureSize, type TileGrid, tileBox, tileCount } from '../imaging/index.js';
import type { Localization } from './localization.js';
import type { RawScores } from './raw-scores.js';

export interface LayerScore {
  readonly layer: string;
  /** Value discrepancy, at least 0; of a linear cloner its natural logarithm. */
  readonly value: number;
  /** Direction discrepancy, 0..2; of a linear cloner the unexplained share. */
  readonly direction: number;
  /** What it sees: `texture` if it is shallower than the terms of the score are on average. */
  readonly meaning: Meaning;
  /** What the layer adds to the score, less what good images typically show. All contributions add up to the score. */
  readonly contribution: number;
}

export interface ImageScore {
  readonly score: number;
  readonly threshold: number;
  /** The chance that a good image scores at least this high; see {@link pValue}. */
  readonly pValue: number;
  /** Whether the p-value is a bound: no good image of the calibration scored that high. */
  readonly pValueIsBound: boolean;
  readonly verdict: Verdict;
  readonly layers: readonly LayerScore[];
  /** What a user should know of the file: it was repaired, or only a part of it is used. */
  readonly warnings?: readonly string[];
  /** The discrepancy map's largest entry, in deviations of good images; only of linear cloners. */
  readonly peak?: number;
  /** If the detector cuts images into tiles: how many, and which one scored highest, in pixels of the image. */
  readonly tiles?: { readonly count: number; readonly highest: ReturnType<typeof tileBox> };
}

/** An image that went through the pipeline. */
export interface ScoredImage extends ImageScore {
  /** Size of the image as seen, in pixels. */
  readonly size: PictureSize;
  readonly grid: TileGrid;
  /** If a map was requested. */
  readonly localization?: Localization;
  readonly timings: ScoringTimings;
}

/** Returns what is said of an image, without what only the pipeline needs. */
export function scoreOf({
  size: _,
  grid: __,
  localization: ___,
  timings: ____,
  ...score
}: ScoredImage): ImageScore {
  return score;
}

/** In seconds. */
export interface ScoringTimings {
  readonly decode: number;
  /** Waiting for the device. */
  readonly queue: number;
  /** In the runtime. */
  readonly inference: number;
}

/** Where an image's scores are: the row of its highest tile, in the outputs of the batch that held the tile. */
export interface ScoreRow {
  readonly outputs: RawScores;
  readonly index: number;
  /** The highest tile. */
  readonly tile: number;
}

/**
 * Returns the score of an image.
 * @param threshold instead of the detector's own.
 */
export function imageScore(
  detector: LoadedDetector,
  { outputs, index, tile }: ScoreRow,
  { grid, width, height }: PictureSize & { readonly grid: TileGrid },
  threshold = shortest(detector.manifest.calibration.threshold),
): ImageScore {
  const { scoringLayers, terms, calibration } = detector.manifest;
  const score = outputs.score[index] as number;
  const { typical } = terms;
  const layers = scoringLayers.map((layer, at): LayerScore => {
    const column = index * scoringLayers.length + at;
    const value = outputs.value[column] as number;
    const direction = outputs.direction[column] as number;
    const contribution =
      (terms.value[at] as number) * (value - (typical.value[at] as number)) +
      (terms.direction[at] as number) * (direction - (typical.direction[at] as number));
    return {
      layer,
      value: shortest(value),
      direction: shortest(direction),
      meaning: detector.meanings[at] as Meaning,
      contribution: significant(contribution, 7),
    };
  });
  const peak = outputs.peak?.[index];
  const p = pValue(calibration.scores, score - scoreRounding(terms, score));
  return {
    score: shortest(score),
    threshold,
    pValue: significant(p, 4),
    pValueIsBound: isLowestPValue(calibration.scores, p),
    verdict: verdictOf(shortest(score), threshold),
    layers,
    ...(peak === undefined ? {} : { peak: shortest(peak) }),
    ...(detector.input.tiling
      ? { tiles: { count: tileCount(grid), highest: tileBox(grid, tile, { width, height }) } }
      : {}),
  };
}
