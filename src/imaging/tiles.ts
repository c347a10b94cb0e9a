/**
 * Tiling: an image larger than a detector's input is cut into overlapping squares, and their maps are joined without
 * seams. An image that fits is one tile.
 */
import type { LocalizationMap, PictureSize, RegionOfInterest } from './map.js';
import type { ValueRange } from './value-range.js';

/** How images are cut. */
export interface Tiling {
  /** Scale of the image before it is cut; 1 keeps its size. */
  readonly scale: number;
  /** Minimum overlap of neighboring tiles, in pixels of the scaled image. */
  readonly overlap: number;
}

/** How a whole image becomes a square: scaled without its aspect ratio; with it, between bars; or its middle. */
export const fits = ['stretch', 'letterbox', 'crop'] as const;
export type Fit = (typeof fits)[number];

/** A detector's input: squares of one size, the whole image or tiles of it. */
export interface InputShape {
  /** Side of a tile, pixels. */
  readonly inputSize: number;
  /** If undefined, the whole image is scaled to one square. */
  readonly tiling?: Tiling | undefined;
  /** Without tiling; by default `stretch`. */
  readonly fit?: Fit | undefined;
  /** Outside of it nothing counts. */
  readonly region?: RegionOfInterest | undefined;
  /** Values of images with 16 bits per sample that become black and white. */
  readonly range?: ValueRange | undefined;
}

/** A rectangle, pixels. */
export interface Box extends PictureSize {
  readonly x: number;
  readonly y: number;
}

/** Where the image is in a square that it does not fill, or that holds only a part of it. */
export interface Placement {
  /** Size of the image. */
  readonly image: PictureSize;
  /** The part of the image that is used, and where in the square that is. */
  readonly from: Box;
  readonly to: Box;
}

/** Positions of the tiles in an image. */
export interface TileGrid {
  /** Size of the scaled image. */
  readonly width: number;
  readonly height: number;
  /** Side of a tile. */
  readonly size: number;
  /** Left edges of the columns and upper edges of the rows, in the scaled image. */
  readonly columns: readonly number[];
  readonly rows: readonly number[];
  /** Undefined if the scaled image is exactly the image. */
  readonly placement?: Placement;
}

/** Pixels for each cell of joined maps. The maps are smoothed, so the coarser grid loses nothing. */
const coarseness = 4;

/** Returns evenly spaced tiles that cover an image exactly. */
export function tileGrid({ width, height }: PictureSize, { inputSize, tiling, fit }: InputShape): TileGrid {
  if (!tiling) {
    const square = { width: inputSize, height: inputSize, size: inputSize, columns: [0], rows: [0] };
    if (fit === undefined || fit === 'stretch' || width === height) return square;
    return { ...square, placement: (fit === 'crop' ? middle : letterboxed)({ width, height }, inputSize) };
  }
  const scaled = (side: number): number =>
    Math.max(inputSize, coarseness * Math.round((side * tiling.scale) / coarseness));
  const [across, down] = [scaled(width), scaled(height)];
  const edges = (side: number): number[] => edgesAlong(side, inputSize, tiling.overlap);
  return { width: across, height: down, size: inputSize, columns: edges(across), rows: edges(down) };
}

/** Returns the largest square in the middle of an image. */
function middle(image: PictureSize, size: number): Placement {
  const side = Math.min(image.width, image.height);
  const margin = (length: number): number => Math.floor((length - side) / 2);
  const from = { x: margin(image.width), y: margin(image.height), width: side, height: side };
  return { image, from, to: { x: 0, y: 0, width: size, height: size } };
}

/** Returns the whole image between two bars. */
function letterboxed(image: PictureSize, size: number): Placement {
  const scale = size / Math.max(image.width, image.height);
  const [width, height] = [image.width, image.height].map((side) =>
    Math.max(1, Math.round(side * scale)),
  ) as [number, number];
  const margin = (length: number): number => Math.floor((size - length) / 2);
  return {
    image,
    from: { x: 0, y: 0, ...image },
    to: { x: margin(width), y: margin(height), width, height },
  };
}

function edgesAlong(side: number, size: number, overlap: number): number[] {
  const count = Math.max(1, Math.ceil((side - overlap) / (size - overlap)));
  const step = count > 1 ? (side - size) / (count - 1) : 0;
  return Array.from({ length: count }, (_, index) => coarseness * Math.round((index * step) / coarseness));
}

export function tileCount({ columns, rows }: TileGrid): number {
  return columns.length * rows.length;
}

/** Returns the upper left corner of a tile in the scaled image; tiles are numbered in reading order. */
export function tileCorner({ columns, rows }: TileGrid, tile: number): readonly [x: number, y: number] {
  return [columns[tile % columns.length] as number, rows[Math.floor(tile / columns.length)] as number];
}

/** Returns the box of a tile in pixels of the original image. */
export function tileBox(
  grid: TileGrid,
  tile: number,
  image: PictureSize,
): { x: number; y: number; width: number; height: number } {
  const [x, y] = tileCorner(grid, tile);
  const [across, down] = [image.width / grid.width, image.height / grid.height];
  return {
    x: Math.round(x * across),
    y: Math.round(y * down),
    width: Math.round(grid.size * across),
    height: Math.round(grid.size * down),
  };
}

/** A scaled image and its grid. */
export interface ScaledImage {
  readonly grid: TileGrid;
  /** uint8 RGB [grid.height, grid.width, 3] */
  readonly pixels: Uint8Array;
}

/** Returns the square at a corner of a scaled image, uint8 RGB [size, size, 3]. */
export function cropped({ grid, pixels }: ScaledImage, [x, y]: readonly [number, number]): Uint8Array {
  const { size, width } = grid;
  if (width === size && y === 0 && pixels.length === 3 * size * size) return pixels;
  const square = new Uint8Array(3 * size * size);
  for (let row = 0; row < size; row++) {
    const from = 3 * ((y + row) * width + x);
    square.set(pixels.subarray(from, from + 3 * size), 3 * row * size);
  }
  return square;
}

/** Returns the pixels of a tile, uint8 RGB [size, size, 3]. */
export function tilePixels(image: ScaledImage, tile: number): Uint8Array {
  return cropped(image, tileCorner(image.grid, tile));
}

/** Returns the first tile of an image as a separate image. */
export function firstTile(image: ScaledImage): ScaledImage {
  const { size } = image.grid;
  return { grid: tileGrid({ width: size, height: size }, { inputSize: size }), pixels: tilePixels(image, 0) };
}

/** Returns images of one tile each. @param pixels uint8 RGB [n, size, size, 3] */
export function squareImages(pixels: Uint8Array, size: number): ScaledImage[] {
  const grid = tileGrid({ width: size, height: size }, { inputSize: size });
  const bytes = 3 * size * size;
  return Array.from({ length: pixels.length / bytes }, (_, index) => ({
    grid,
    pixels: pixels.subarray(index * bytes, (index + 1) * bytes),
  }));
}

/**
 * Joins the maps of tiles, added in any order. In an overlap, the weight of each tile falls toward its edge, so that no
 * seam is visible.
 */
export class MapStitcher {
  readonly #width: number;
  readonly #height: number;
  readonly #sums: Float32Array;
  readonly #weights: Float32Array;
  #single: Float32Array | undefined;

  constructor(private readonly grid: TileGrid) {
    this.#width = grid.width / coarseness;
    this.#height = grid.height / coarseness;
    const cells = tileCount(grid) > 1 ? this.#width * this.#height : 0;
    this.#sums = new Float32Array(cells);
    this.#weights = new Float32Array(cells);
  }

  /** Adds the map of a tile. @param map float32 [size, size] */
  add(tile: number, map: Float32Array): void {
    const { grid } = this;
    if (tileCount(grid) === 1) {
      this.#single = map;
      return;
    }
    const [x, y] = tileCorner(grid, tile);
    const cells = grid.size / coarseness;
    const [across, down] = [this.#ramp(grid.columns, x), this.#ramp(grid.rows, y)];
    for (let row = 0; row < cells; row++) {
      for (let column = 0; column < cells; column++) {
        const weight = (across[column] as number) * (down[row] as number);
        const at = (y / coarseness + row) * this.#width + x / coarseness + column;
        const mean = blockMean(map, grid.size, row * coarseness, column * coarseness);
        this.#sums[at] = (this.#sums[at] as number) + weight * mean;
        this.#weights[at] = (this.#weights[at] as number) + weight;
      }
    }
  }

  /** Returns the map of the whole image, after all tiles were added. */
  map(): LocalizationMap {
    const { size } = this.grid;
    if (this.#single) return { width: size, height: size, values: this.#single };
    const values = this.#sums.map((sum, at) => sum / (this.#weights[at] as number));
    return { width: this.#width, height: this.#height, values };
  }

  /** Returns weights along a tile: they rise across an overlap from the tile's edge, and are 1 elsewhere. */
  #ramp(edges: readonly number[], edge: number): Float32Array {
    const { size } = this.grid;
    const index = edges.indexOf(edge);
    const [before, after] = [edges[index - 1], edges[index + 1]];
    const shared = (other: number | undefined): number =>
      other === undefined ? 0 : (size - Math.abs(other - edge)) / coarseness;
    const cells = size / coarseness;
    const rise = (distance: number, overlap: number): number =>
      overlap <= 0 ? 1 : Math.min(1, (distance + 0.5) / overlap);
    return Float32Array.from(
      { length: cells },
      (_, at) => rise(at, shared(before)) * rise(cells - 1 - at, shared(after)),
    );
  }
}

function blockMean(map: Float32Array, size: number, y: number, x: number): number {
  let sum = 0;
  for (let row = y; row < y + coarseness; row++) {
    for (let column = x; column < x + coarseness; column++) sum += map[row * size + column] as number;
  }
  return sum / coarseness ** 2;
}
