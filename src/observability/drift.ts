/**
 * Drift: whether images still resemble those of the calibration. The drift of a layer is the difference between the
 * lower quartiles of its direction discrepancy over the last 200 images and over the good images held back, in
 * interquartile ranges of the latter. Up to three quarters of the images may be defective without moving it far; an old
 * lamp or a moved camera changes every image.
 */
import type { LoadedDetector } from '../detector/index.js';
import type { ScoringObserver, StageEnded } from '../scoring/index.js';

/** Images in the window, and how many are needed before drift is reported. */
export const driftWindow = { images: 200, least: 50 } as const;

/** Lower bound of interquartile ranges. */
const smallestRange = 1e-6;

export interface LayerDrift {
  readonly detector: string;
  readonly layer: string;
  /** In interquartile ranges: 0 if nothing has changed, above 0 if the cloner follows the expert less. */
  readonly drift: number;
}

interface Window {
  readonly version: string;
  /** Of the good images held back, by layer. */
  readonly references: Readonly<Record<string, readonly number[]>>;
  /** Direction discrepancies of the last images, by layer. */
  readonly directions: ReadonlyMap<string, number[]>;
}

export class DriftMonitor implements ScoringObserver {
  readonly #windows = new Map<string, Window>();

  ended(stage: StageEnded): void {
    if (stage.stage !== 'image' || 'error' in stage.outcome) return;
    this.record(stage.image.name, stage.image.detector, stage.outcome.scored.layers);
  }

  /** @param layers the direction discrepancies of an image. */
  record(
    name: string,
    detector: LoadedDetector,
    layers: readonly { readonly layer: string; readonly direction: number }[],
  ): void {
    let window = this.#windows.get(name);
    // Another version has another cloner and other reference images.
    if (window?.version !== detector.version) {
      const { version, manifest } = detector;
      window = {
        version,
        references: manifest.calibration.directions,
        directions: new Map(layers.map(({ layer }) => [layer, []])),
      };
      this.#windows.set(name, window);
    }
    for (const { layer, direction } of layers) {
      const last = window.directions.get(layer);
      last?.push(direction);
      if (last && last.length > driftWindow.images) last.shift();
    }
  }

  /** Removes a detector that no longer exists. */
  forget(name: string): void {
    this.#windows.delete(name);
  }

  /** Returns the drift of every layer with enough images, of the wanted detectors. */
  measure(isWanted: (detector: string) => boolean = () => true): LayerDrift[] {
    return [...this.#windows.keys()].filter(isWanted).flatMap((name) => this.of(name));
  }

  /** Returns the drift of every layer of a detector; none before there are enough images. */
  of(name: string): LayerDrift[] {
    const { references = {}, directions = [] } = this.#windows.get(name) ?? {};
    return [...directions].flatMap(([layer, last]): LayerDrift[] => {
      const reference = references[layer];
      if (!reference || last.length < driftWindow.least) return [];
      return [{ detector: name, layer, drift: driftOf(last, reference) }];
    });
  }
}

/** Returns how far the lower quartile has moved, in interquartile ranges of the reference. */
export function driftOf(live: readonly number[], reference: readonly number[]): number {
  const lower = quartile(reference, 0.25);
  const range = Math.max(quartile(reference, 0.75) - lower, smallestRange);
  return (quartile(live, 0.25) - lower) / range;
}

/** Returns a quantile, interpolated between neighbors. */
function quartile(values: readonly number[], share: number): number {
  const ascending = [...values].sort((a, b) => a - b);
  const position = share * (ascending.length - 1);
  const below = Math.floor(position);
  const [low, high] = [ascending[below] as number, ascending[Math.ceil(position)] as number];
  return low + (position - below) * (high - low);
}
