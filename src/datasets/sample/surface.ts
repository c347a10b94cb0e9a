/** The metal surface: turning marks, engraving, bore and holes, reflected light. */

import {
  BOLT_CHAMFER,
  BORE_RADIUS,
  type Hole,
  HUB_RADIUS,
  KEYWAY_HALF,
  KEYWAY_TOP,
  type Part,
  RIM_START,
} from './part.js';
import { band, clamp01, coverage, length, makeNoise, mix, seededRandom, smoothStep, TAU } from './random.js';

/** The surface at one pixel; each feature updates it in turn. */
export interface Surface {
  /** Slope of the height along u and v. */
  slopeU: number;
  slopeV: number;
  /** Share of the light that reaches this point, 0..1. */
  exposure: number;
  /** Strength of the specular reflection, about 0..1.5. */
  gloss: number;
  /** Spread of the reflection across the turning marks: 1 on them, 0 on a polished face. */
  brushed: number;
  /** Linear reflectance, a factor for each of R, G and B. */
  tint: [number, number, number];
}

/** The nearest point of a line: signed distance across it, direction across it, half width there. */
export interface LineHit {
  across: number;
  normalU: number;
  normalV: number;
  half: number;
}

const RING_RADIUS = 0.79;
const RING_HALF = 0.013;
const TICK_COUNT = 48;
const TICK_HALF = 0.0085;
/** Turning marks per part unit. */
const LINE_DENSITY = 56;
/** Color of steel: a factor for each of R, G and B. */
const STEEL: readonly [number, number, number] = [0.985, 0.995, 1.015];
/** Marks of the tool, the same on every part. */
const toolNoise = makeNoise(seededRandom('tool'));

/** Returns a flat, fully lit steel surface. */
export function blankSurface(): Surface {
  return { slopeU: 0, slopeV: 0, exposure: 1, gloss: 1, brushed: 1, tint: [...STEEL] };
}

/** Makes a surface blank again. */
export function resetSurface(surface: Surface): void {
  surface.slopeU = 0;
  surface.slopeV = 0;
  surface.exposure = 1;
  surface.gloss = 1;
  surface.brushed = 1;
  surface.tint[0] = STEEL[0];
  surface.tint[1] = STEEL[1];
  surface.tint[2] = STEEL[2];
}

/** Adds turning marks (rings and arcs) and a slight unevenness of the whole face. */
export function machineFace(part: Part, surface: Surface, u: number, v: number, radius: number): void {
  const { noise, linePhase, lineDepth } = part;
  const turn = Math.atan2(v, u) / TAU + 0.5;
  const line = radius * LINE_DENSITY + linePhase;
  const rings = toolNoise(line, 7.5, 256);
  const arcs = toolNoise(line * 1.3 + 90, turn * 16, 16);
  const nicks = noise(line * 1.6 + 170, turn * 128, 128);
  const slope = lineDepth * (rings + 0.8 * arcs + 0.4 * nicks);
  const cloud = noise(u * 2.2 + 40, v * 2.2 + 40, 256);
  surface.slopeU += (slope * u) / (radius || 1);
  surface.slopeV += (slope * v) / (radius || 1);
  surface.exposure *= 1 - 0.05 * Math.abs(rings + arcs) + 0.03 * nicks;
  surface.gloss *= 1 + 0.05 * cloud;
  const edge = smoothStep(HUB_RADIUS + 0.1, HUB_RADIUS + 0.02, radius) * (radius > HUB_RADIUS ? 1 : 0);
  const away = radius > 0 ? -(u * part.keyU + v * part.keyV) / radius : 0;
  surface.exposure *= 1 - edge * (0.16 + 0.3 * clamp01(away));
}

/** Adds the bevels of rim and hub, the engraved ring and the scale around it. */
export function engrave(surface: Surface, u: number, v: number, radius: number, pixel: number): void {
  const rim = band(radius, RIM_START, 2, pixel);
  const hub = band(radius, HUB_RADIUS - 0.014, HUB_RADIUS + 0.014, pixel);
  const outU = u / (radius || 1);
  const outV = v / (radius || 1);
  bevel(surface, outU, outV, -0.55, Math.max(rim, hub));
  const fromRing = radius - RING_RADIUS;
  cutLine(surface, { across: fromRing, normalU: outU, normalV: outV, half: RING_HALF }, 0.7, 0.62, pixel);
  if (radius > RING_RADIUS && radius < RIM_START) {
    engraveTick(surface, outU, outV, radius, pixel);
  }
}

/** Adds the nearest tick of the scale; every fourth is longer. */
function engraveTick(surface: Surface, outU: number, outV: number, radius: number, pixel: number): void {
  const steps = (Math.atan2(outV, outU) / TAU) * TICK_COUNT;
  const tick = Math.round(steps);
  const end = tick % 4 === 0 ? 0.918 : 0.875;
  const along = band(radius, 0.832, end, pixel);
  const across = ((steps - tick) / TICK_COUNT) * TAU * radius;
  cutLine(surface, { across, normalU: -outV, normalV: outU, half: TICK_HALF }, 0.6, 0.6 * along, pixel);
}

/** Blends a polished slope along a direction into the surface. */
export function bevel(surface: Surface, dirU: number, dirV: number, slope: number, share: number): void {
  surface.slopeU = mix(surface.slopeU, slope * dirU, share);
  surface.slopeV = mix(surface.slopeV, slope * dirV, share);
  surface.brushed = mix(surface.brushed, 0.1, share);
}

/** Cuts a V-shaped line: steep sides, darker toward its middle. */
function cutLine(surface: Surface, hit: LineHit, slope: number, shade: number, pixel: number): void {
  const share = coverage(hit.half - Math.abs(hit.across), pixel) * Math.min(1, (2 * hit.half) / pixel);
  if (share <= 0 || shade <= 0) {
    return;
  }
  const side = Math.max(-1, Math.min(1, (2 * hit.across) / hit.half));
  bevel(surface, hit.normalU, hit.normalV, slope * side, share * Math.min(1, shade * 1.4));
  surface.exposure *= 1 - shade * share * (1 - 0.4 * Math.abs(side));
}

/** Cuts the bore with its keyway and chamfers the edge; returns the share of the pixel that is open. */
export function cutBore(surface: Surface, u: number, v: number, pixel: number): number {
  const round = Math.sqrt(u * u + v * v) - BORE_RADIUS;
  if (round > 0.12) {
    return 0;
  }
  const slotSide = Math.abs(u) - KEYWAY_HALF;
  const slotTop = v < 0 ? -v - KEYWAY_TOP : 1;
  const slot = Math.max(slotSide, slotTop);
  const outside = Math.min(round, slot);
  const chamfer = band(outside, 0, 0.02, pixel);
  if (round <= slot) {
    bevel(surface, u / (round + BORE_RADIUS || 1), v / (round + BORE_RADIUS || 1), 0.6, chamfer);
  } else if (slotSide > slotTop) {
    bevel(surface, Math.sign(u), 0, 0.6, chamfer);
  } else {
    bevel(surface, 0, -1, 0.6, chamfer);
  }
  return coverage(-outside, pixel);
}

/** Drills the nearest bolt hole with its countersink; returns the share of the pixel that is open. */
export function drillHoles(holes: Hole[], surface: Surface, u: number, v: number, pixel: number): number {
  const hole = nearestHole(holes, u, v);
  if (!hole) {
    return 0;
  }
  const distance = length(u - hole.u, v - hole.v);
  const outside = distance - hole.radius;
  const sink = band(outside, 0, BOLT_CHAMFER, pixel);
  bevel(surface, (u - hole.u) / (distance || 1), (v - hole.v) / (distance || 1), 0.62, sink);
  surface.exposure *= 1 - 0.22 * band(outside, BOLT_CHAMFER, BOLT_CHAMFER + 0.008, pixel);
  return coverage(-outside, pixel);
}

/** Returns the hole whose countersink contains (u, v), if any. */
function nearestHole(holes: Hole[], u: number, v: number): Hole | undefined {
  for (const hole of holes) {
    const du = u - hole.u;
    const dv = v - hole.v;
    const reach = hole.radius + BOLT_CHAMFER + 0.03;
    if (du * du + dv * dv < reach * reach) {
      return hole;
    }
  }
  return undefined;
}

/** Returns the light on the table seen through an opening, from 0: the side near the key lamp is dark. */
export function openingLight(part: Part, holes: Hole[], u: number, v: number, radius: number): number {
  const hole = nearestHole(holes, u, v);
  if (!hole) {
    const distance = length(u + part.keyU * 0.11, v + part.keyV * 0.11);
    const straight = radius < BORE_RADIUS ? 0.1 : 0;
    return 2.3 * smoothStep(BORE_RADIUS + 0.04, BORE_RADIUS - 0.07, distance) + straight;
  }
  const distance = length(u - hole.u + part.keyU * 0.09, v - hole.v + part.keyV * 0.09);
  return 1.5 * smoothStep(hole.radius + 0.02, hole.radius - 0.05, distance);
}

/**
 * Returns the linear light that the metal reflects to the camera: an ambient part and, for each lamp, a Ward lobe that
 * is narrow along the turning marks and wide across them. (outU, outV) points away from the center.
 */
export function reflectance(part: Part, surface: Surface, outU: number, outV: number): number {
  const { slopeU, slopeV, brushed } = surface;
  const slopeOut = slopeU * outU + slopeV * outV;
  const slopeRound = slopeV * outU - slopeU * outV;
  const alongScale = 1 / mix(0.25, 0.15, brushed);
  const acrossScale = 1 / mix(0.3, 0.52, brushed);
  let shine = 0;
  let soft = 0;
  for (const lamp of part.lamps) {
    const facing = Math.max(0.05, lamp.z - slopeU * lamp.x - slopeV * lamp.y);
    const across = (lamp.x * outU + lamp.y * outV + lamp.z * slopeOut) * acrossScale;
    const along = (lamp.y * outU - lamp.x * outV + lamp.z * slopeRound) * alongScale;
    shine += lamp.power * Math.exp(-(across * across + along * along) / (facing * facing));
    soft += lamp.power * Math.max(0, facing - 0.45);
  }
  return (part.ambient + 0.17 * soft + 1.3 * surface.gloss * shine) * surface.exposure;
}
