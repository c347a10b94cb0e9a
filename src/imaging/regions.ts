/**
 * Anomalous regions: connected parts of a localization map that reach the threshold, after a morphological opening that
 * removes specks. Outlines are in coordinates of the original image.
 */
import { contours } from 'd3-contour';
import { labelComponents } from './components.js';
import type { LocalizationMap, PictureSize } from './map.js';

/** A connected anomalous part of the image. Coordinates are pixels of the original image. */
export interface Region {
  /** Square pixels. */
  readonly area: number;
  /** Maximum and mean of the map inside, in multiples of the threshold: at least 1. */
  readonly peak: number;
  readonly mean: number;
  readonly box: { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
  /** Outlines as in GeoJSON's MultiPolygon: the outer ring of each polygon, then its holes; closed, [x, y]. */
  readonly polygons: number[][][][];
}

/**
 * A region ends where the map falls to this share of the region's peak, if that is above the threshold. Maps are
 * smoothed, so the brighter a spot is, the wider its rim above the threshold.
 */
const rimShare = 0.3;

/**
 * Returns the map in multiples of the level at which each region is outlined: from 1 inside regions, less outside.
 * Specks are removed by an opening with a 3 x 3 ellipse (a cross), as in MKD's code.
 */
export function outlinedMap(map: LocalizationMap, threshold: number): LocalizationMap {
  const { width, values } = map;
  const mask = reaching(values, threshold);
  const { labels, count } = labelComponents(dilated(eroded(mask, width), width), width);
  const peaks = new Float32Array(count + 1);
  for (let pixel = 0; pixel < values.length; pixel++) {
    const label = labels[pixel] as number;
    peaks[label] = Math.max(peaks[label] as number, values[pixel] as number);
  }
  const relative = values.map((value, pixel) => {
    const label = labels[pixel] as number;
    if (label === 0) return Math.min(value / threshold, justBelow);
    return value / Math.max(threshold, rimShare * (peaks[label] as number));
  });
  return { ...map, values: relative };
}

/** Returns 1 where a map reaches a level, else 0. */
function reaching(values: Float32Array, level: number): Uint8Array {
  const mask = new Uint8Array(values.length);
  for (let pixel = 0; pixel < values.length; pixel++) {
    if ((values[pixel] as number) >= level) mask[pixel] = 1;
  }
  return mask;
}

/** The largest value outside regions. */
const justBelow = 1 - 1e-6;

/** Returns the regions of a map, highest peak first. */
export function findRegions(map: LocalizationMap, threshold: number, to: PictureSize): Region[] {
  // Most images are good.
  if (!map.values.some((value) => value >= threshold)) return [];
  const outlined = outlinedMap(map, threshold);
  const { labels, count } = labelComponents(reaching(outlined.values, 1), map.width);
  return extentsOf(map, labels, count)
    .map(({ peak, sum, pixels, ...extent }) => ({
      ...shapeOf(outlined, labels, extent, to),
      peak: significant(peak / threshold),
      mean: significant(sum / pixels / threshold),
    }))
    .sort((a, b) => b.peak - a.peak);
}

/** Where the pixels of a region are, and what the map has there. */
interface Extent {
  readonly label: number;
  left: number;
  right: number;
  top: number;
  bottom: number;
  peak: number;
  sum: number;
  pixels: number;
}

/** Measures all regions in one pass: a noisy map may have thousands. */
function extentsOf({ width, values }: LocalizationMap, labels: Int32Array, count: number): Extent[] {
  const extents = Array.from({ length: count }, (_, index): Extent => {
    const [far, none] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    return { label: index + 1, left: far, right: none, top: far, bottom: none, peak: 0, sum: 0, pixels: 0 };
  });
  for (let pixel = 0; pixel < labels.length; pixel++) {
    const label = labels[pixel] as number;
    if (label === 0) continue;
    const extent = extents[label - 1] as Extent;
    const x = pixel % width;
    const y = Math.floor(pixel / width);
    const value = values[pixel] as number;
    extent.left = Math.min(extent.left, x);
    extent.right = Math.max(extent.right, x);
    extent.top = Math.min(extent.top, y);
    extent.bottom = Math.max(extent.bottom, y);
    extent.peak = Math.max(extent.peak, value);
    extent.sum += value;
    extent.pixels++;
  }
  return extents;
}

/** Outlines a region, in the part of the map that has it and the pixels around it. */
function shapeOf(
  { width, height, values }: LocalizationMap,
  labels: Int32Array,
  { label, left, right, top, bottom }: Omit<Extent, 'peak' | 'sum' | 'pixels'>,
  to: PictureSize,
): Pick<Region, 'area' | 'box' | 'polygons'> {
  const [x0, y0] = [Math.max(0, left - 1), Math.max(0, top - 1)];
  const [columns, rows] = [Math.min(width, right + 2) - x0, Math.min(height, bottom + 2) - y0];
  const own = Array.from({ length: columns * rows }, (_, at) => {
    const pixel = (y0 + Math.floor(at / columns)) * width + x0 + (at % columns);
    const value = values[pixel] as number;
    // Pixels of other regions must not join this region's outline.
    return labels[pixel] === label ? value : Math.min(value, justBelow);
  });
  const { coordinates } = contours().size([columns, rows]).contour(own, 1);
  const inPixels = ([x = 0, y = 0]: number[]): number[] => [
    tenth(((x0 + x) * to.width) / width),
    tenth(((y0 + y) * to.height) / height),
  ];
  const polygons = coordinates.map((rings) => rings.map((ring) => ring.map(inPixels)));
  return {
    area: Math.round(polygons.reduce((sum, rings) => sum + areaOf(rings), 0)),
    box: boxOf(polygons.flat(2)),
    polygons,
  };
}

/** Five digits: a map says no more. */
function significant(value: number): number {
  return Number(value.toPrecision(5));
}

type Ring = readonly (readonly number[])[];

/** Returns the area of the outer ring minus its holes. */
function areaOf([outer = [], ...holes]: readonly Ring[]): number {
  return holes.reduce((area, hole) => area - shoelace(hole), shoelace(outer));
}

function shoelace(ring: Ring): number {
  let twice = 0;
  for (let index = 1; index < ring.length; index++) {
    const [[x1 = 0, y1 = 0] = [], [x2 = 0, y2 = 0] = []] = [ring[index - 1], ring[index]];
    twice += x1 * y2 - x2 * y1;
  }
  return Math.abs(twice) / 2;
}

function boxOf(points: Ring): Region['box'] {
  const [xs, ys] = [points.map(([x = 0]) => x), points.map(([, y = 0]) => y)];
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  return { x, y, width: tenth(Math.max(...xs) - x), height: tenth(Math.max(...ys) - y) };
}

function tenth(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Erosion with a cross: a pixel stays if all its neighbors are set. The image border does not erode. */
function eroded(mask: Uint8Array, width: number): Uint8Array {
  return overCross(mask, width, 1, (pixel, up, down, left, right) => pixel & up & down & left & right);
}

/** Dilation with a cross. */
function dilated(mask: Uint8Array, width: number): Uint8Array {
  return overCross(mask, width, 0, (pixel, up, down, left, right) => pixel | up | down | left | right);
}

/** Computes each pixel of a mask from itself and its four neighbors. @param outside what lies beyond the border. */
function overCross(
  mask: Uint8Array,
  width: number,
  outside: 0 | 1,
  compute: (pixel: number, up: number, down: number, left: number, right: number) => number,
): Uint8Array {
  const result = new Uint8Array(mask.length);
  for (let start = 0; start < mask.length; start += width) {
    for (let x = 0; x < width; x++) {
      const at = start + x;
      result[at] = compute(
        mask[at] as number,
        start > 0 ? (mask[at - width] as number) : outside,
        at + width < mask.length ? (mask[at + width] as number) : outside,
        x > 0 ? (mask[at - 1] as number) : outside,
        x < width - 1 ? (mask[at + 1] as number) : outside,
      );
    }
  }
  return result;
}
