/**
 * Tiling: an image larger than a detector's input is cut into overlapping tiles, and their maps are joined without
 * seams. An image that fits is one tile.
 */
import {
  areaOf,
  type InputSize,
  type LocalizationMap,
  type PictureSize,
  type RegionOfInterest,
  sidesOf,
} from './map.js';
import type { ValueRange } from './value-range.js';

/** How images are cut. */
export interface Tiling {
  /** Scale of the image before it is cut; 1 keeps its size. */
  readonly scale: number;
  /** Minimum overlap of neighboring tiles, in pixels of the scaled image. */
  readonly overlap: number;
}

/** How a whole image becomes a detector's input: scaled without its aspect ratio; with it, between bars; or its middle. */
export const fits = ['stretch', 'letterbox', 'crop'] as const;
export type Fit = (typeof fits)[number];

/** A detector's input: rectangles of one size, the whole image or tiles of it. */
export interface InputShape {
  /** Size of a tile. */
  readonly inputSize: InputSize;
  /** If undefined, the whole image is scaled to the input's size. */
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

/** Where the image is in an input that it does not fill, or that holds only a part of it. */
export interface Placement {
  /** Size of the image. */
  readonly image: PictureSize;
  /** The part of the image that is used, and where in the input that is. */
  readonly from: Box;
  readonly to: Box;
}

/** Positions of the tiles in an image. */
export interface TileGrid {
  /** Size of the scaled image. */
  readonly width: number;
  readonly height: number;
  /** Size of a tile. */
  readonly tile: PictureSize;
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
  const tile = sidesOf(inputSize);
  if (!tiling) {
    const whole = { ...tile, tile, columns: [0], rows: [0] };
    const isSameShape = width * tile.height === height * tile.width;
    if (fit === undefined || fit === 'stretch' || isSameShape) return whole;
    return { ...whole, placement: (fit === 'crop' ? middle : letterboxed)({ width, height }, tile) };
  }
  const scaled = (side: number, least: number): number =>
    Math.max(least, coarseness * Math.round((side * tiling.scale) / coarseness));
  const [across, down] = [scaled(width, tile.width), scaled(height, tile.height)];
  return {
    ...{ width: across, height: down, tile },
    columns: edgesAlong(across, tile.width, tiling.overlap),
    rows: edgesAlong(down, tile.height, tiling.overlap),
  };
}

/** Returns the largest part in the middle of an image that has the shape of the input. */
function middle(image: PictureSize, input: PictureSize): Placement {
  const from = centered(image, input);
  return { image, from, to: { x: 0, y: 0, ...input } };
}

/** Returns the whole image between two bars. */
function letterboxed(image: PictureSize, input: PictureSize): Placement {
  return { image, from: { x: 0, y: 0, ...image }, to: centered(input, image) };
}

/** Returns the largest box in the middle of a rectangle that has the shape of another one. */
function centered({ width, height }: PictureSize, shape: PictureSize): Box {
  const scale = Math.min(width / shape.width, height / shape.height);
  const [across, down] = [
    Math.max(1, Math.round(shape.width * scale)),
    Math.max(1, Math.round(shape.height * scale)),
  ];
  return {
    x: Math.floor((width - across) / 2),
    y: Math.floor((height - down) / 2),
    width: across,
    height: down,
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
    width: Math.round(grid.tile.width * across),
    height: Math.round(grid.tile.height * down),
  };
}

/** A scaled image and its grid. */
export interface ScaledImage {
  readonly grid: TileGrid;
  /** uint8 RGB [grid.height, grid.width, 3] */
  readonly pixels: Uint8Array;
}

/** Returns the tile at a corner of a scaled image, uint8 RGB [tile.height, tile.width, 3]. */
export function cropped({ grid, pixels }: ScaledImage, [x, y]: readonly [number, number]): Uint8Array {
  const { tile, width } = grid;
  const bytes = 3 * areaOf(tile);
  if (width === tile.width && y === 0 && pixels.length === bytes) return pixels;
  const cut = new Uint8Array(bytes);
  for (let row = 0; row < tile.height; row++) {
    const from = 3 * ((y + row) * width + x);
    cut.set(pixels.subarray(from, from + 3 * tile.width), 3 * row * tile.width);
  }
  return cut;
}

/** Returns the pixels of a tile, uint8 RGB [tile.height, tile.width, 3]. */
export function tilePixels(image: ScaledImage, tile: number): Uint8Array {
  return cropped(image, tileCorner(image.grid, tile));
}

/** Returns the first tile of an image as a separate image. */
export function firstTile(image: ScaledImage): ScaledImage {
  const { tile } = image.grid;
  return { grid: tileGrid(tile, { inputSize: tile }), pixels: tilePixels(image, 0) };
}

/** Returns images of one tile each. @param pixels uint8 RGB [n, height, width, 3] */
export function wholeImages(pixels: Uint8Array, size: InputSize): ScaledImage[] {
  const grid = tileGrid(sidesOf(size), { inputSize: size });
  const bytes = 3 * areaOf(size);
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

  /** Adds the map of a tile. @param map float32 [tile.height, tile.width] */
  add(tile: number, map: Float32Array): void {
    const { grid } = this;
    if (tileCount(grid) === 1) {
      this.#single = map;
      return;
    }
    const [x, y] = tileCorner(grid, tile);
    const { width, height } = grid.tile;
    const [across, down] = [this.#ramp(grid.columns, x, width), this.#ramp(grid.rows, y, height)];
    for (let row = 0; row < down.length; row++) {
      for (let column = 0; column < across.length; column++) {
        const weight = (across[column] as number) * (down[row] as number);
        const at = (y / coarseness + row) * this.#width + x / coarseness + column;
        const mean = blockMean(map, width, row * coarseness, column * coarseness);
        this.#sums[at] = (this.#sums[at] as number) + weight * mean;
        this.#weights[at] = (this.#weights[at] as number) + weight;
      }
    }
  }

  /** Returns the map of the whole image, after all tiles were added. */
  map(): LocalizationMap {
    if (this.#single) return { ...this.grid.tile, values: this.#single };
    const values = this.#sums.map((sum, at) => sum / (this.#weights[at] as number));
    return { width: this.#width, height: this.#height, values };
  }

  /** Returns weights along a tile: they rise across an overlap from the tile's edge, and are 1 elsewhere. */
  #ramp(edges: readonly number[], edge: number, size: number): Float32Array {
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

function blockMean(map: Float32Array, width: number, y: number, x: number): number {
  let sum = 0;
  for (let row = y; row < y + coarseness; row++) {
    for (let column = x; column < x + coarseness; column++) sum += map[row * width + column] as number;
  }
  return sum / coarseness ** 2;
}
