/** An image on its way through the pipeline, and what is wanted of it. */
import type { LoadedDetector, LocalizationMethod } from '../detector/index.js';
import type { ImageInput } from '../imaging/index.js';
import type { Deadline } from './deadline.js';
import type { ObservedImage } from './observer.js';

/** An image to be scored. */
export interface ImageJob {
  readonly detector: LoadedDetector;
  /** Name of the detector in the service. */
  readonly name?: string;
  readonly image: ImageInput;
  readonly deadline?: Deadline;
  /** What the image belongs to, for observers. */
  readonly request?: object | undefined;
}

export interface ScoreOptions {
  /** Instead of the detector's own. */
  readonly threshold?: number | undefined;
  /** The map to compute with the score; none by default. */
  readonly map?: LocalizationMethod | undefined;
  /** Computes the map only if the image is anomalous. */
  readonly mapIfAnomalous?: boolean;
}

/** Returns an image as observers see it. */
export function observed(
  { detector, name = '', image, request }: ImageJob,
  purpose: ObservedImage['purpose'],
): ObservedImage {
  const bytes = image instanceof Uint8Array ? image.length : image.pixels.length;
  return { detector, name, bytes, purpose, request };
}
