/**
 * The region of interest: what lies outside is blank before the expert sees it, and dark in maps. So nothing there counts, in no
 * kind of cloner and no kind of map, and good images teach nothing about it.
 */
import { areaOf, type LocalizationMap, type PictureSize, type RegionOfInterest } from './map.js';
import type { TileGrid } from './tiles.js';

/** The mean of ImageNet, which experts see as 0. */
export const blankColor = [124, 116, 104] as const;

/** Returns the share of the image that is inside, 0..1. */
export function shareInside({ inside }: RegionOfInterest): number {
  return inside.reduce((sum, value) => sum + value, 0) / inside.length;
}

/**
 * Returns which places of a scaled image count: those that show the image, inside its region.
 * @param raster how many places there are across and down.
 * @returns row-major, 1 or 0; undefined if all count.
 */
function countedPlaces(
  grid: PictureSize & Pick<TileGrid, 'placement'>,
  region: RegionOfInterest | undefined,
  raster: PictureSize,
): Uint8Array | undefined {
  const { placement } = grid;
  if (!region && !placement) return undefined;
  const { width = 1, height = 1, inside = Uint8Array.of(1) } = region ?? {};
  /** Where in the region the places along a side are; -1 where there is no image. */
  const along = (count: number, side: 'width' | 'height', edge: 'x' | 'y', cells: number): number[] =>
    Array.from({ length: count }, (_, at) => {
      const place = ((at + 0.5) / count) * grid[side];
      const share = placement
        ? (placement.from[edge] +
            ((place - placement.to[edge]) * placement.from[side]) / placement.to[side]) /
          placement.image[side]
        : place / grid[side];
      return share >= 0 && share < 1 ? Math.floor(share * cells) : -1;
    });
  const columns = along(raster.width, 'width', 'x', width);
  const rows = along(raster.height, 'height', 'y', height);
  const counted = new Uint8Array(raster.width * raster.height);
  for (const [y, row] of rows.entries()) {
    for (const [x, column] of columns.entries()) {
      if (row >= 0 && column >= 0) counted[y * raster.width + x] = inside[row * width + column] as number;
    }
  }
  return counted;
}

/** Returns which pixels of an image that fills its input are inside a region: row-major, 1 or 0. */
export function insidePlaces(region: RegionOfInterest, size: PictureSize): Uint8Array {
  return countedPlaces(size, region, size) ?? new Uint8Array(areaOf(size)).fill(1);
}

/** Blanks what does not count. @param pixels uint8 RGB of the scaled image; changed in place. */
export function blankOutside(pixels: Uint8Array, grid: TileGrid, region: RegionOfInterest | undefined): void {
  const counted = countedPlaces(grid, region, grid);
  for (let at = 0; counted && at < counted.length; at++) {
    if (counted[at] === 0) pixels.set(blankColor, 3 * at);
  }
}

/** Returns the values of a map at the places that count. @param map of the scaled image. */
export function countedValues(
  { width, height, values }: LocalizationMap,
  grid: TileGrid,
  region: RegionOfInterest | undefined,
): Float32Array {
  const counted = countedPlaces(grid, region, { width, height });
  return counted ? values.filter((_, at) => counted[at] === 1) : values;
}

/** Returns the map of the whole image: 0 outside its region, and where the detector does not see it. @param map of the scaled image. */
export function mapOfImage(
  map: LocalizationMap,
  grid: TileGrid,
  region: RegionOfInterest | undefined,
): LocalizationMap {
  const counted = countedPlaces(grid, region, map);
  if (!counted) return map;
  const values = map.values.map((value, at) => (counted[at] === 1 ? value : 0));
  const { placement } = grid;
  if (!placement) return { ...map, values };
  const { image, from, to } = placement;
  const [across, down] = [to.width / from.width, to.height / from.height];
  const width = Math.max(1, Math.round(image.width * across));
  const height = Math.max(1, Math.round(image.height * down));
  const [left, top] = [to.x - Math.round(from.x * across), to.y - Math.round(from.y * down)];
  const whole = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = y + top;
    if (row < 0 || row >= map.height) continue;
    for (let x = 0; x < width; x++) {
      const column = x + left;
      if (column >= 0 && column < map.width)
        whole[y * width + x] = values[row * map.width + column] as number;
    }
  }
  return { width, height, values: whole };
}
