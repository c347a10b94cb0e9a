/**
 * Events of scoring, sent to one observer. Metrics, statistics, drift and traces are observers; the pipeline does not
 * depend on them.
 */
import type { LoadedDetector } from '../detector/index.js';
import type { Artifact } from '../imaging/index.js';
import type { MapKind } from './engine.js';
import type { ScoredImage } from './scored-image.js';

/** A detector and its name in the service. */
export interface NamedDetector {
  readonly name: string;
  readonly detector: LoadedDetector;
}

/** An image on its way through the pipeline. */
export interface ObservedImage extends NamedDetector {
  /** Bytes of the file, or of the pixels. */
  readonly bytes: number;
  /** Whether it is scored, or only its map is computed later. */
  readonly purpose: 'score' | 'map';
  /** What the image belongs to, for example an HTTP request; the same object for all its images. */
  readonly request?: object | undefined;
}

/** A stage that begins. */
export type StageBegan =
  /** An image from its bytes to its score; a map on its own and pictures are not part of it. */
  | { readonly stage: 'image'; readonly image: ObservedImage }
  | { readonly stage: 'decode'; readonly image: ObservedImage }
  /** All tiles of an image, from the queue to their scores. */
  | {
      readonly stage: 'inference';
      readonly image: ObservedImage;
      readonly map: MapKind;
      readonly tiles: number;
    }
  /** One run of the graph, on tiles of any images of a detector. */
  | ({ readonly stage: 'batch'; readonly map: MapKind; readonly images: number } & NamedDetector)
  | { readonly stage: 'render'; readonly image: ObservedImage; readonly artifact: Artifact };

/** A stage that has ended, with its duration. */
export type StageEnded = StageBegan & { readonly seconds: number } & StageOutcome;

type StageOutcome =
  | { readonly stage: 'image'; readonly outcome: ImageOutcome }
  | { readonly stage: 'decode' }
  /** `queueSeconds`: the longest that one of the tiles waited. `runtimeSeconds`: what they took together. */
  | { readonly stage: 'inference'; readonly queueSeconds: number; readonly runtimeSeconds: number }
  | { readonly stage: 'batch' }
  | { readonly stage: 'render' };

export type ImageOutcome = { readonly scored: ScoredImage } | { readonly error: unknown };

export interface ScoringObserver {
  began?(stage: StageBegan): void;
  ended?(stage: StageEnded): void;
}

/** Returns one observer that forwards to several. */
export function observers(...all: readonly ScoringObserver[]): Required<ScoringObserver> {
  return {
    began: (stage) => {
      for (const observer of all) observer.began?.(stage);
    },
    ended: (stage) => {
      for (const observer of all) observer.ended?.(stage);
    },
  };
}

/** Returns a clock for one stage, running from now. */
export function stopwatch(): () => number {
  const began = performance.now();
  return () => (performance.now() - began) / 1000;
}
