/** From images to scores: whole images as they are, larger ones by their tiles. */
import {
  type LocalizationMap,
  MapStitcher,
  type ScaledImage,
  type TileGrid,
  tileCount,
  tilePixels,
} from '../imaging/index.js';
import type { RawScores, ScoringEngine } from './engine.js';
import type { Scorer } from './loaded-detector.js';
import type { LocalizationMethod } from './serving-model.js';

/** What an image scored: an image is as anomalous as its most anomalous tile. */
export interface ScoredImage {
  /** Scores of the tiles that were run together with the one that counts, and its place among them. */
  readonly outputs: RawScores;
  readonly index: number;
  /** The tile that counts. */
  readonly tile: number;
  /** Of the whole image, where one was asked for. */
  readonly map?: LocalizationMap;
}

/** Puts an image together from what its tiles give, in whatever order they come. */
export class TileCollector {
  readonly #stitcher: MapStitcher | undefined;
  #worst: Omit<ScoredImage, 'map'> | undefined;

  /** @param withMap whether the tiles come with maps. */
  constructor(
    private readonly grid: TileGrid,
    withMap: boolean,
  ) {
    this.#stitcher = withMap ? new MapStitcher(grid) : undefined;
  }

  /** @param index place of the tile in the outputs. */
  add(tile: number, outputs: RawScores, index: number): void {
    const score = outputs.score[index] as number;
    const worst = this.#worst;
    if (!worst || score > (worst.outputs.score[worst.index] as number)) {
      this.#worst = { outputs: withoutMap(outputs), index, tile };
    }
    if (!this.#stitcher) return;
    const plane = this.grid.size ** 2;
    if (!outputs.map) throw new RangeError('these scores were computed without maps');
    this.#stitcher.add(tile, outputs.map.slice(index * plane, (index + 1) * plane));
  }

  /** The image, once all its tiles were added. */
  image(): ScoredImage {
    if (!this.#worst) throw new RangeError('an image has at least one tile');
    return { ...this.#worst, ...(this.#stitcher ? { map: this.#stitcher.map() } : {}) };
  }
}

function withoutMap({ map: _, ...scores }: RawScores): RawScores {
  return scores;
}

/**
 * Scores images, their tiles in common runs.
 * @returns what each image scored, and the time in the runtime.
 */
export async function scoreImages(
  engine: ScoringEngine,
  scorer: Scorer,
  images: readonly ScaledImage[],
  method: LocalizationMethod | 'none',
): Promise<{ images: ScoredImage[]; seconds: number }> {
  const tiles = images.flatMap((image) =>
    Array.from({ length: tileCount(image.grid) }, (_, tile) => tilePixels(image, tile)),
  );
  const { outputs, seconds } = await engine.run(scorer, Buffer.concat(tiles), method);
  let next = 0;
  const scored = images.map(({ grid }) => {
    const collector = new TileCollector(grid, method !== 'none');
    for (let tile = 0; tile < tileCount(grid); tile++) collector.add(tile, outputs, next++);
    return collector.image();
  });
  return { images: scored, seconds };
}
