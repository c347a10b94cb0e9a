/** The five kinds of flaws. Each changes the surface or the holes of a good part. */

import { bowedLine, jaggedLine, type LinePoint, lineShare, nearestOnLine } from './lines.js';
import {
  BOLT_CHAMFER,
  BOLT_RADIUS,
  BORE_RADIUS,
  type Hole,
  isMetal,
  isWithin,
  type Part,
  RIM_START,
} from './part.js';
import { between, length, mix, pick, type Random, smoothStep, TAU } from './random.js';
import { bevel, type Surface } from './surface.js';

/** A flaw, ready to be drawn. */
export interface Flaw {
  /** The circle that contains all changes. */
  u: number;
  v: number;
  reach: number;
  /** The part's bolt holes, if the flaw changes them. */
  holes?: Hole[];
  /** Changes the surface at (u, v); `pixel` is the side of a pixel. */
  alter?: (surface: Surface, u: number, v: number, pixel: number) => void;
  /** Returns whether (u, v) belongs to the flaw even if its shading equals that of the good part. */
  covers?: (u: number, v: number) => boolean;
}

/** Draws a position on the flange's face, at least `clear` away from all bolt holes if one is found. */
function placeOnFace(part: Part, random: Random, clear: number): { u: number; v: number } {
  let place = { u: 0, v: 0.5 };
  for (let attempt = 0; attempt < 40; attempt += 1) {
    const radius = between(random, BORE_RADIUS + 0.13, RIM_START - 0.1);
    const angle = between(random, 0, TAU);
    place = { u: Math.cos(angle) * radius, v: Math.sin(angle) * radius };
    const { u, v } = place;
    const margin = BOLT_CHAMFER + clear;
    if (part.holes.every((hole) => length(u - hole.u, v - hole.v) > hole.radius + margin)) {
      break;
    }
  }
  return place;
}

/** Creates one or two thin, slightly bowed lines. */
export function makeScratch(part: Part, random: Random): Flaw {
  const { u, v } = placeOnFace(part, random, 0.03);
  const span = between(random, 0.85, 1.2);
  const half = between(random, 0.013, 0.017);
  const strength = between(random, 0.95, 1.15);
  // Turning marks run around the center; the angle between them and a scratch is 25 to 60 degrees.
  const side = random() < 0.5 ? -1 : 1;
  const angle = Math.atan2(v, u) + side * between(random, 0.52, 1.13);
  const bow = between(random, -0.12, 0.12) * span;
  const lines = [bowedLine(u, v, angle, span, bow, half)];
  if (random() < 0.5) {
    const gap = between(random, 0.04, 0.07);
    const secondLine = between(random, 0.4, 0.8) * span;
    const besideU = u - Math.sin(angle) * gap;
    const besideV = v + Math.cos(angle) * gap;
    lines.push(bowedLine(besideU, besideV, angle, secondLine, bow * 0.8, half * 0.8));
  }
  const alter = (surface: Surface, atU: number, atV: number, pixel: number): void => {
    for (const line of lines) {
      scoreLine(surface, line, atU, atV, pixel, strength);
    }
  };
  return { u, v, reach: span / 2 + 0.12, alter };
}

/** Adds a bright burr on one side of a line and a dark groove on the other. */
function scoreLine(
  surface: Surface,
  line: LinePoint[],
  u: number,
  v: number,
  pixel: number,
  strength: number,
): void {
  const hit = nearestOnLine(line, u, v);
  const share = lineShare(hit, pixel) * strength;
  if (share <= 0) {
    return;
  }
  const side = hit.across / Math.max(hit.half, pixel);
  bevel(surface, hit.normalU, hit.normalV, 0.3 * side, share * 0.6);
  surface.exposure *= 1 + share * (side > -0.2 ? 1.1 : -0.75);
}

/** Creates a smooth oval hollow. */
export function makeDent(part: Part, random: Random): Flaw {
  const size = between(random, 0.16, 0.26);
  const { u, v } = placeOnFace(part, random, size * 0.5);
  const oval = between(random, 0.7, 1);
  const angle = between(random, 0, TAU);
  const depth = between(random, 0.65, 1);
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  const local = (atU: number, atV: number): [number, number] => [
    ((atU - u) * cos + (atV - v) * sin) / size,
    ((atV - v) * cos - (atU - u) * sin) / (size * oval),
  ];
  const alter = (surface: Surface, atU: number, atV: number): void => {
    const [a, b] = local(atU, atV);
    const square = a * a + b * b;
    if (square < 1) {
      const slope = 2.6 * depth * (1 - square) * (1 - 0.35 * square);
      surface.slopeU += slope * (a * cos - b * sin);
      surface.slopeV += slope * (a * sin + b * cos);
      surface.exposure *= 1 - 0.35 * depth * (1 - square) * (1 - square);
    }
  };
  const covers = (atU: number, atV: number): boolean => {
    const [a, b] = local(atU, atV);
    return a * a + b * b < 0.6 && isMetal(part, atU, atV);
  };
  return { u, v, reach: size, alter, covers };
}

/** Linear reflectance of possible stains, a factor for each of R, G and B. */
const stainTints: readonly (readonly [number, number, number])[] = [
  [0.72, 0.47, 0.27], // rust
  [0.5, 0.45, 0.36], // old oil
  [0.45, 0.5, 0.86], // heat tint, blue
  [0.85, 0.55, 0.2], // heat tint, straw
];

/** Creates a wide uneven film with a darker edge, like a dried liquid. */
export function makeStain(part: Part, random: Random): Flaw {
  const size = between(random, 0.2, 0.32);
  const { u, v } = placeOnFace(part, random, 0);
  const tint = pick(random, stainTints);
  const strength = between(random, 0.8, 1.1);
  const shift = between(random, 0, 200);
  const outline = makeOutline(random);
  const inside = (atU: number, atV: number): number => {
    const a = (atU - u) / size;
    const b = (atV - v) / size;
    return outline(Math.atan2(b, a)) - length(a, b) + 0.05 * part.noise(a * 6 + shift, b * 6 + 128, 256);
  };
  const alter = (surface: Surface, atU: number, atV: number): void => {
    const depth = inside(atU, atV);
    if (depth > 0) {
      const patchy = 1 + 0.22 * part.noise(atU * 9 + shift, atV * 9 + 90, 256);
      const film = smoothStep(0, 0.16, depth) * (1 - 0.4 * smoothStep(0.08, 0.4, depth)) * strength * patchy;
      layFilm(surface, tint, film);
    }
  };
  const covers = (atU: number, atV: number): boolean => inside(atU, atV) > 0.1 && isMetal(part, atU, atV);
  return { u, v, reach: size * 1.7, alter, covers };
}

/** Returns the radius (0.4..1.6) of a rounded, irregular outline at each angle. */
function makeOutline(random: Random): (angle: number) => number {
  const waves = [2, 3, 4, 5, 7].map((count) => ({
    count,
    height: between(random, 0.1, 0.36) / count,
    phase: between(random, 0, TAU),
  }));
  return (angle) =>
    waves.reduce((sum, { count, height, phase }) => sum + height * Math.cos(count * angle + phase), 1);
}

/** Tints and dulls the surface with a film of thickness 0..1. */
function layFilm(surface: Surface, tint: readonly [number, number, number], film: number): void {
  for (let c = 0; c < 3; c += 1) {
    surface.tint[c] = (surface.tint[c] ?? 1) * mix(1, tint[c] ?? 1, film);
  }
  surface.gloss *= 1 - 0.25 * film;
}

/** Creates a jagged line from an edge, with a branch. */
export function makeCrack(part: Part, random: Random): Flaw {
  const start = crackStart(part, random);
  const span = between(random, 0.7, 0.95);
  const half = between(random, 0.016, 0.021);
  const strength = between(random, 0.9, 1);
  const trunk = jaggedLine(random, start.u, start.v, start.angle, span, half);
  const fork = trunk[Math.floor(between(random, 0.35, 0.65) * trunk.length)] as LinePoint;
  const side = random() < 0.5 ? -1 : 1;
  const forkAngle = start.angle + side * between(random, 0.5, 0.9);
  const twig = span * between(random, 0.3, 0.5);
  const branch = jaggedLine(random, fork.u, fork.v, forkAngle, twig, fork.half);
  const alter = (surface: Surface, u: number, v: number, pixel: number): void => {
    const inTrunk = lineShare(nearestOnLine(trunk, u, v), pixel);
    const inBranch = lineShare(nearestOnLine(branch, u, v), pixel);
    const share = Math.max(inTrunk, inBranch) * strength;
    surface.exposure *= 1 - 0.92 * share;
  };
  return { u: start.u, v: start.v, reach: span * 1.5, alter };
}

/** Draws start and direction of a crack: at the edge of a bolt hole, the rim, or the bore. */
function crackStart(part: Part, random: Random): { u: number; v: number; angle: number } {
  const angle = between(random, 0, TAU);
  const kind = random();
  if (kind < 0.5) {
    const hole = pick(random, part.holes);
    const from = hole.radius + 0.01;
    return { u: hole.u + Math.cos(angle) * from, v: hole.v + Math.sin(angle) * from, angle };
  }
  const radius = kind < 0.8 ? 0.995 : BORE_RADIUS + 0.005;
  const inwards = kind < 0.8 ? Math.PI : 0;
  return {
    u: Math.cos(angle) * radius,
    v: Math.sin(angle) * radius,
    angle: angle + inwards + between(random, -0.5, 0.5),
  };
}

/** Creates a bolt hole that is missing, displaced, or too small. */
export function makeMisdrill(part: Part, random: Random): Flaw {
  const hole = pick(random, part.holes);
  const form = random();
  const angle = between(random, 0, TAU);
  const shift = between(random, 0.07, 0.11);
  const moved = { ...hole, u: hole.u + Math.cos(angle) * shift, v: hole.v + Math.sin(angle) * shift };
  const small = { ...hole, radius: hole.radius * between(random, 0.3, 0.5) };
  const drilled = form < 0.34 ? undefined : form < 0.67 ? moved : small;
  const others = part.holes.filter((each) => each !== hole);
  return {
    u: hole.u,
    v: hole.v,
    reach: BOLT_RADIUS + BOLT_CHAMFER + shift + 0.02,
    holes: drilled ? [...others, drilled] : others,
    covers: (u, v) => isWithin(hole, u, v) !== (drilled !== undefined && isWithin(drilled, u, v)),
  };
}
