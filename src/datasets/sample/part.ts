/** The good part: nominal dimensions, variation between parts, and which points are metal. */

import { between, length, makeNoise, type Noise, type Random, TAU } from './random.js';

/** A round opening: center and radius. */
export interface Hole {
  u: number;
  v: number;
  radius: number;
}

/** A lamp, given by the unit vector halfway between its direction and the camera's. */
interface Lamp {
  x: number;
  y: number;
  z: number;
  /** Linear light, about 0..1. */
  power: number;
}

/** Everything that varies between two good parts. */
export interface Part {
  /** Position of the center, as a fraction of the image's side. */
  centerX: number;
  centerY: number;
  /** The outer radius, as a fraction of the image's side. */
  scale: number;
  /** Rotation from the part's frame to the image's. */
  cos: number;
  sin: number;
  /** Direction of the key lamp in the table's plane, a unit vector in the part's frame. */
  keyU: number;
  keyV: number;
  lamps: Lamp[];
  /** Ambient light, linear. */
  ambient: number;
  /** Color of the light: a factor for each of R, G and B. */
  white: [number, number, number];
  /** The table's linear reflectance. */
  table: number;
  /** Turning marks: start of the tool's pattern, in lines, and slope of the marks. */
  linePhase: number;
  lineDepth: number;
  /** Sensor noise: standard deviation in gray levels of 255. */
  grain: number;
  holes: Hole[];
  noise: Noise;
}

export const BORE_RADIUS = 0.185;
export const KEYWAY_TOP = 0.262;
export const KEYWAY_HALF = 0.05;
export const HUB_RADIUS = 0.375;
const BOLT_CIRCLE = 0.605;
export const BOLT_RADIUS = 0.084;
export const BOLT_CHAMFER = 0.03;
const BOLT_COUNT = 6;
export const RIM_START = 0.958;

/** Returns a good part with random variations. */
export function makePart(random: Random): Part {
  const turn = between(random, -0.035, 0.035);
  const keyAngle = between(random, -2.45, -2.25) - turn;
  const brightness = between(random, 0.95, 1.05);
  const warmth = between(random, -0.012, 0.012);
  return {
    centerX: 0.5 + between(random, -0.01, 0.01),
    centerY: 0.495 + between(random, -0.01, 0.01),
    scale: between(random, 0.412, 0.42),
    cos: Math.cos(turn),
    sin: Math.sin(turn),
    keyU: Math.cos(keyAngle),
    keyV: Math.sin(keyAngle),
    lamps: makeLamps(random, keyAngle, brightness),
    ambient: 0.12 * brightness * between(random, 0.97, 1.03),
    white: [1.0 + warmth, 1.0, 1.005 - warmth],
    table: between(random, 0.088, 0.096),
    linePhase: between(random, -0.25, 0.25),
    lineDepth: between(random, 0.08, 0.09),
    grain: between(random, 0.8, 1.4),
    holes: makeHoles(random),
    noise: makeNoise(random),
  };
}

/** Returns the key lamp, a fill lamp to its side, and a weak third lamp. */
function makeLamps(random: Random, keyAngle: number, brightness: number): Lamp[] {
  const fillAngle = keyAngle + between(random, 1.15, 1.25);
  const thirdAngle = keyAngle - between(random, 0.8, 0.9);
  return [
    makeLamp(keyAngle, between(random, 0.375, 0.405), 0.62 * brightness),
    makeLamp(fillAngle, between(random, 0.36, 0.4), 0.3 * brightness * between(random, 0.93, 1.07)),
    makeLamp(thirdAngle, between(random, 0.42, 0.46), 0.17 * brightness),
  ];
}

/** Returns a lamp at an angle in the table's plane, whose half vector is tilted by `lean` from the vertical. */
function makeLamp(angle: number, lean: number, power: number): Lamp {
  const flat = Math.sin(lean);
  return { x: Math.cos(angle) * flat, y: Math.sin(angle) * flat, z: Math.cos(lean), power };
}

/** Returns the six bolt holes, each within the drill's tolerance. */
function makeHoles(random: Random): Hole[] {
  return Array.from({ length: BOLT_COUNT }, (_, i) => {
    const angle = ((i + 0.5) / BOLT_COUNT) * TAU;
    return {
      u: Math.cos(angle) * BOLT_CIRCLE + between(random, -0.003, 0.003),
      v: Math.sin(angle) * BOLT_CIRCLE + between(random, -0.003, 0.003),
      radius: BOLT_RADIUS + between(random, -0.0015, 0.0015),
    };
  });
}

/** Returns whether (u, v) is in a hole. */
export function isWithin(hole: Hole, u: number, v: number): boolean {
  return length(u - hole.u, v - hole.v) < hole.radius;
}

/** Returns whether (u, v) is on metal, not in an opening or outside the part. */
export function isMetal(part: Part, u: number, v: number): boolean {
  const radius = length(u, v);
  const inKeyway = Math.abs(u) < KEYWAY_HALF && v < 0 && v > -KEYWAY_TOP;
  const inHole = part.holes.some((hole) => isWithin(hole, u, v));
  return radius < 1 && radius > BORE_RADIUS && !inKeyway && !inHole;
}
