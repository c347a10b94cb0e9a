/** Combines the results of an image's tiles, in any order: an image is as anomalous as its most anomalous tile. */
import { areaOf, type LocalizationMap, MapStitcher, type TileGrid } from '../imaging/index.js';
import type { RawScores } from './raw-scores.js';
import type { ScoreRow } from './scored-image.js';

/** The scores of an image, and its map if the tiles have maps. */
export interface CollectedImage extends ScoreRow {
  readonly map?: LocalizationMap;
}

export class TileCollector {
  readonly #stitcher: MapStitcher | undefined;
  #highest: ScoreRow | undefined;

  /** @param withMap whether the tiles have maps. */
  constructor(
    private readonly grid: TileGrid,
    withMap: boolean,
  ) {
    this.#stitcher = withMap ? new MapStitcher(grid) : undefined;
  }

  /** @param index row of the tile in the outputs. */
  add(tile: number, outputs: RawScores, index: number): void {
    const score = outputs.score[index] as number;
    const highest = this.#highest;
    if (!highest || score > (highest.outputs.score[highest.index] as number)) {
      this.#highest = { outputs: withoutMap(outputs), index, tile };
    }
    if (!this.#stitcher) return;
    const plane = areaOf(this.grid.tile);
    if (!outputs.map) throw new RangeError('these scores were computed without maps');
    this.#stitcher.add(tile, outputs.map.slice(index * plane, (index + 1) * plane));
  }

  /** Returns the image, after all its tiles were added. */
  image(): CollectedImage {
    if (!this.#highest) throw new RangeError('an image has at least one tile');
    return { ...this.#highest, ...(this.#stitcher ? { map: this.#stitcher.map() } : {}) };
  }
}

function withoutMap({ map: _, ...scores }: RawScores): RawScores {
  return scores;
}
