/**
 * Near-copies: photos that are much more alike than photos of different parts are, such as the same part taken twice. Compared by
 * thumbnails, whatever their brightness and contrast.
 */

/**
 * A near-copy is so much closer than the photos are to each other, as a share of the median of their nearest squared distances.
 * Of good test photos a fifth are in brain MRI, where scans of one patient are on both sides, and none in bottle, pill, head CT,
 * and in solar-cells and magnetic-tile split by part.
 */
const closeShare = 0.25;

interface Compared {
  /** Of each, the squared distance to the nearest other one. */
  readonly distances: readonly number[];
  /** Near-copies are closer. */
  readonly close: number;
}

export class NearCopies {
  readonly #vectors: readonly Float32Array[];
  #compared: Compared | undefined;

  /**
   * @param thumbnails of good photos.
   * @param parts the part that each photo shows, if that is known: photos of one part are not compared.
   */
  constructor(
    thumbnails: readonly Uint8Array[],
    private readonly parts?: readonly unknown[],
  ) {
    this.#vectors = thumbnails.map(normalized);
  }

  /** Returns whether a photo is a near-copy of one of them. */
  has(thumbnail: Uint8Array): boolean {
    return this.#nearest(normalized(thumbnail)).distance < this.#compare().close;
  }

  /** Returns which of them is most like a photo. */
  nearest(thumbnail: Uint8Array): number {
    return this.#nearest(normalized(thumbnail)).at;
  }

  /** Returns which of them are near-copies of others. */
  among(): number[] {
    const { distances, close } = this.#compare();
    return distances.flatMap((distance, at) => (distance < close ? [at] : []));
  }

  /** Compares all of them, when it is first needed: with thousands it takes seconds. */
  #compare(): Compared {
    if (this.#compared) return this.#compared;
    const distances = this.#vectors.map((vector, at) => this.#nearest(vector, at).distance);
    const nearest = distances.filter(Number.isFinite).sort((a, b) => a - b);
    this.#compared = { distances, close: closeShare * (nearest[Math.floor(nearest.length / 2)] ?? 0) };
    return this.#compared;
  }

  /** @param own place of the vector: it and its part are left out. */
  #nearest(vector: Float32Array, own?: number): { readonly at: number; readonly distance: number } {
    const { parts } = this;
    let nearest = { at: -1, distance: Number.POSITIVE_INFINITY };
    for (const [at, other] of this.#vectors.entries()) {
      if (at === own || (own !== undefined && parts && parts[at] === parts[own])) continue;
      const distance = squaredDistance(vector, other);
      if (distance < nearest.distance) nearest = { at, distance };
    }
    return nearest;
  }
}

/** Returns the vector less its mean, with length 1. */
function normalized(thumbnail: Uint8Array): Float32Array {
  const mean = thumbnail.reduce((sum, value) => sum + value, 0) / thumbnail.length;
  const vector = Float32Array.from(thumbnail, (value) => value - mean);
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0)) || 1;
  return vector.map((value) => value / length);
}

function squaredDistance(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += ((a[at] as number) - (b[at] as number)) ** 2;
  return sum;
}
