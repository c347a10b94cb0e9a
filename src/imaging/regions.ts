/**
 * Anomalous regions: where a localization map reaches its threshold, opened so that specks go, each connected
 * part with its outline in the original image's coordinates.
 */
import { contours } from 'd3-contour';
import { labelComponents } from './components.js';
import type { LocalizationMap, PictureSize } from './map.js';

/** A connected part of the image that is anomalous. Coordinates are the original image's, in pixels. */
export interface Region {
  /** Square pixels. */
  readonly area: number;
  /** Largest and mean value of the map inside, in multiples of its threshold: at least 1. */
  readonly peak: number;
  readonly mean: number;
  readonly box: { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
  /** Outlines as in GeoJSON's MultiPolygon: of each polygon the outer ring, then holes; closed, [x, y]. */
  readonly polygons: number[][][][];
}

/**
 * A region ends where the map falls to this part of the region's peak, if that is above the threshold: maps are
 * smoothed, and the brighter a spot is, the further its rim reaches above the threshold.
 */
const rimShare = 0.3;

/**
 * The map in multiples of the levels at which its regions are outlined: 1 and more inside of them, less outside. Of
 * what reaches the threshold, an opening with a 3 x 3 ellipse (a cross) removes specks; MKD's code opens its masks so.
 */
export function outlinedMap(map: LocalizationMap, threshold: number): LocalizationMap {
  const { width, values } = map;
  const mask = Uint8Array.from(values, (value) => (value >= threshold ? 1 : 0));
  const { labels, count } = labelComponents(grown(shrunk(mask, width), width), width);
  const peaks = new Float32Array(count + 1);
  for (const [pixel, value] of values.entries()) {
    const label = labels[pixel] as number;
    peaks[label] = Math.max(peaks[label] as number, value);
  }
  const relative = values.map((value, pixel) => {
    const label = labels[pixel] as number;
    if (label === 0) return Math.min(value / threshold, justBelow);
    return value / Math.max(threshold, rimShare * (peaks[label] as number));
  });
  return { ...map, values: relative };
}

/** The largest value that is outside of a region. */
const justBelow = 1 - 1e-6;

/** Regions of a map, the highest peak first. */
export function findRegions(map: LocalizationMap, threshold: number, to: PictureSize): Region[] {
  const outlined = outlinedMap(map, threshold);
  const mask = Uint8Array.from(outlined.values, (value) => (value >= 1 ? 1 : 0));
  const { labels, count } = labelComponents(mask, map.width);
  return Array.from({ length: count }, (_, index) => {
    const inside = map.values.filter((_, pixel) => labels[pixel] === index + 1);
    return {
      ...shapeOf(outlined, labels, index + 1, to),
      peak: inside.reduce((largest, value) => Math.max(largest, value), 0) / threshold,
      mean: inside.reduce((sum, value) => sum + value, 0) / inside.length / threshold,
    };
  }).sort((a, b) => b.peak - a.peak);
}

function shapeOf(
  { width, height, values }: LocalizationMap,
  labels: Int32Array,
  label: number,
  to: PictureSize,
): Pick<Region, 'area' | 'box' | 'polygons'> {
  // What other regions reach must not join this one's outline.
  const own = Array.from(values, (value, pixel) =>
    labels[pixel] === label ? value : Math.min(value, justBelow),
  );
  const { coordinates } = contours().size([width, height]).contour(own, 1);
  const inPixels = ([x = 0, y = 0]: number[]): number[] => [
    tenth((x * to.width) / width),
    tenth((y * to.height) / height),
  ];
  const polygons = coordinates.map((rings) => rings.map((ring) => ring.map(inPixels)));
  return {
    area: Math.round(polygons.reduce((sum, rings) => sum + areaOf(rings), 0)),
    box: boxOf(polygons.flat(2)),
    polygons,
  };
}

type Ring = readonly (readonly number[])[];

/** The outer ring's area without its holes'. */
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

/** Erosion by a cross: what has all four neighbors stays; beyond the border the image goes on. */
function shrunk(mask: Uint8Array, width: number): Uint8Array {
  return mask.map((set, pixel) =>
    set && crossOf(pixel, width, mask.length).every((near) => mask[near]) ? 1 : 0,
  );
}

/** Dilation by a cross. */
function grown(mask: Uint8Array, width: number): Uint8Array {
  return mask.map((set, pixel) =>
    set || crossOf(pixel, width, mask.length).some((near) => mask[near]) ? 1 : 0,
  );
}

/** The up to four pixels beside one. */
function crossOf(pixel: number, width: number, length: number): number[] {
  const column = pixel % width;
  const near = [pixel - width, pixel + width].filter((other) => other >= 0 && other < length);
  if (column > 0) near.push(pixel - 1);
  if (column < width - 1) near.push(pixel + 1);
  return near;
}
