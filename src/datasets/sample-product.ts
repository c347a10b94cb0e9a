/**
 * A procedural inspection data set: a turned steel flange, lying on a grey table under three lamps.
 *
 * Good images differ a little in place, rotation, scale, lighting, machining marks and sensor noise. Defective
 * ones have one plain flaw besides. The module draws its own pixels and imports nothing.
 *
 * Lengths are in "part units" unless said otherwise: the flange's outer radius is 1, its centre is (0, 0),
 * u points right and v points down in the part's own frame, and angles are in radians.
 */

/** The kinds of flaw that can be drawn. */
export type SampleDefect = 'scratch' | 'dent' | 'stain' | 'crack' | 'misdrill';

/**
 * Every kind of flaw, in a fixed order.
 *
 * - `scratch`: one or two long, narrow, bright and dark lines across the turning marks (small).
 * - `dent`: a smooth hollow, seen only by its shading (medium).
 * - `stain`: a wide discoloured film of oil, rust or heat tint (large).
 * - `crack`: a jagged dark line, forked, that starts at a hole, at the rim or at the bore (small, irregular).
 * - `misdrill`: a bolt hole that is absent, off its place, or too small (structural).
 */
export const sampleDefects: readonly SampleDefect[] = ['scratch', 'dent', 'stain', 'crack', 'misdrill'];

/** One drawn image with its ground truth. */
export interface SampleImage {
  /** Pixels across. */
  width: number;
  /** Pixels down. */
  height: number;
  /** RGB, row-major, 3 bytes a pixel: `width * height * 3` values in 0..255. */
  pixels: Uint8Array;
  /** 255 where defective, 0 elsewhere: row-major, one byte a pixel, `width * height` values. */
  mask: Uint8Array;
}

/** What to draw. Equal options give equal bytes. */
export interface SampleOptions {
  /** Names the data set: any finite number. */
  seed: number;
  /** The image's place in the data set: any finite number. */
  index: number;
  /** The flaw to draw; a good part without it. */
  defect?: SampleDefect;
  /** Pixels across and down: an integer from 32 to 4096, 256 unless told. */
  size?: number;
}

/** Gives the next number of a stream, uniform in [0, 1). */
type Random = () => number;

/** Value noise in -1..1 at (x, y); `period`, a power of two up to 256, is where y wraps round. */
type Noise = (x: number, y: number, period: number) => number;

/** A round opening: its centre and radius. */
interface Hole {
  u: number;
  v: number;
  radius: number;
}

/** A lamp, by the unit vector halfway between it and the camera. */
interface Lamp {
  x: number;
  y: number;
  z: number;
  /** Linear light, about 0..1. */
  power: number;
}

/** Everything that varies between two good parts. */
interface Part {
  /** Where the centre lies, as a fraction of the image's side. */
  centerX: number;
  centerY: number;
  /** The outer radius, as a fraction of the image's side. */
  scale: number;
  /** The turn from the part's frame to the image's. */
  cos: number;
  sin: number;
  /** The key lamp's direction in the table's plane, a unit vector in the part's frame. */
  keyU: number;
  keyV: number;
  lamps: Lamp[];
  /** Light from all round, linear. */
  ambient: number;
  /** Colour of the light: a factor for each of R, G and B. */
  white: [number, number, number];
  /** The table's linear reflectance. */
  table: number;
  /** Turning marks: where the tool's pattern starts, in lines, and the marks' slope. */
  linePhase: number;
  lineDepth: number;
  /** Sensor noise: its standard deviation in grey levels of 255. */
  grain: number;
  holes: Hole[];
  noise: Noise;
}

/** The surface under one pixel, filled in by each feature in turn. */
interface Surface {
  /** The height's slope along u and v. */
  slopeU: number;
  slopeV: number;
  /** How much light reaches the place, 0..1. */
  open: number;
  /** Strength of the mirror-like reflection, about 0..1.5. */
  gloss: number;
  /** How far the reflection is drawn out across the turning marks: 1 on them, 0 on a polished face. */
  brushed: number;
  /** Linear reflectance, a factor for each of R, G and B. */
  tint: [number, number, number];
}

/** A flaw, ready to be drawn. */
interface Flaw {
  /** The circle outside which nothing changes. */
  u: number;
  v: number;
  reach: number;
  /** The part's bolt holes, where the flaw changes them. */
  holes?: Hole[];
  /** Changes the surface at (u, v); `pixel` is a pixel's side. */
  alter?: (surface: Surface, u: number, v: number, pixel: number) => void;
  /** Whether (u, v) belongs to the flaw even where its shading happens to equal the good part's. */
  covers?: (u: number, v: number) => boolean;
}

/** A place on a drawn line with the line's half width there. */
interface LinePoint {
  u: number;
  v: number;
  half: number;
}

/** Where a line is nearest: signed distance across it, the direction across it, and its half width there. */
interface LineHit {
  across: number;
  normalU: number;
  normalV: number;
  half: number;
}

const TAU = 2 * Math.PI;
const BORE_RADIUS = 0.185;
const KEYWAY_TOP = 0.262;
const KEYWAY_HALF = 0.05;
const HUB_RADIUS = 0.375;
const BOLT_CIRCLE = 0.605;
const BOLT_RADIUS = 0.084;
const BOLT_CHAMFER = 0.03;
const BOLT_COUNT = 6;
const RING_RADIUS = 0.79;
const RING_HALF = 0.013;
const TICK_COUNT = 48;
const TICK_HALF = 0.0085;
const RIM_START = 0.958;
/** Turning marks: lines for each part unit. */
const LINE_DENSITY = 56;
/** Steel's colour: a factor for each of R, G and B. */
const STEEL: readonly [number, number, number] = [0.985, 0.995, 1.015];
/** The least change of a channel, in levels of 255 before noise, that counts as visible. */
const VISIBLE_LEVELS = 7;
/** The least share of the image that a flaw should cover. */
const ENOUGH_SHARE = 0.0062;

/**
 * Draws one image of the flange.
 *
 * @param options what to draw; see `SampleOptions`
 * @returns the image and its mask; the mask is all 0 for a good part and never so for a defective one
 * @throws RangeError when `size` is not an integer from 32 to 4096, or `defect` is unknown
 */
export function drawSample(options: SampleOptions): SampleImage {
  const { seed, index, defect, size = 256 } = options;
  checkOptions(size, defect);
  const name = `${seed}/${index}/${defect ?? 'good'}`;
  const random = seededRandom(`${name}/part`);
  const part = makePart(random);
  const canvas = renderPart(part, size);
  const mask = defect ? drawFlaw(canvas, part, size, defect, random) : new Uint8Array(size * size);
  const pixels = addSensorNoise(canvas, part.grain, seededRandom(`${name}/sensor`));
  return { width: size, height: size, pixels, mask };
}

function checkOptions(size: number, defect: SampleDefect | undefined): void {
  if (!Number.isInteger(size) || size < 32 || size > 4096) {
    throw new RangeError(`size must be an integer from 32 to 4096, not ${size}`);
  }
  if (defect !== undefined && !sampleDefects.includes(defect)) {
    throw new RangeError(`unknown defect '${String(defect)}'; known: ${sampleDefects.join(', ')}`);
  }
}

// ---------------------------------------------------------------------------------------------------------
// Random numbers and noise
// ---------------------------------------------------------------------------------------------------------

/** A mulberry32 stream, seeded by the FNV-1a hash of a name. */
function seededRandom(name: string): Random {
  let state = 0x811c9dc5;
  for (let i = 0; i < name.length; i += 1) {
    state = Math.imul(state ^ name.charCodeAt(i), 0x01000193);
  }
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** A number uniform from `low` to `high`. */
function between(random: Random, low: number, high: number): number {
  return low + (high - low) * random();
}

/** One of the items, each equally likely. */
function pick<Item>(random: Random, items: readonly Item[]): Item {
  return items[Math.floor(random() * items.length)] as Item;
}

/** A fresh noise field over a lattice of 256 x 256 random values. */
function makeNoise(random: Random): Noise {
  const lattice = new Float32Array(65536);
  for (let i = 0; i < lattice.length; i += 1) {
    lattice[i] = 2 * random() - 1;
  }
  const at = (x: number, y: number): number => lattice[(y << 8) | x] ?? 0;
  return (x, y, period) => {
    const floorX = Math.floor(x);
    const floorY = Math.floor(y);
    const blendX = ease(x - floorX);
    const blendY = ease(y - floorY);
    const x0 = floorX & 255;
    const x1 = (floorX + 1) & 255;
    const y0 = floorY & (period - 1);
    const y1 = (floorY + 1) & (period - 1);
    return mix(mix(at(x0, y0), at(x1, y0), blendX), mix(at(x0, y1), at(x1, y1), blendX), blendY);
  };
}

/** The marks that the tool leaves, alike on every part. */
const toolNoise = makeNoise(seededRandom('tool'));

/** The length of a plane vector. */
function length(u: number, v: number): number {
  return Math.sqrt(u * u + v * v);
}

function clamp01(value: number): number {
  if (value <= 0) {
    return 0;
  }
  if (value >= 1) {
    return 1;
  }
  return value;
}

function mix(from: number, to: number, share: number): number {
  return from + (to - from) * share;
}

/** The cubic ease of 0..1 onto 0..1. */
function ease(value: number): number {
  return value * value * (3 - 2 * value);
}

/** 0 below `low`, 1 above `high`, eased between. */
function smoothStep(low: number, high: number, value: number): number {
  return ease(clamp01((value - low) / (high - low)));
}

/** The share of a pixel that lies inside an edge, `depth` being the distance to it from inside. */
function coverage(depth: number, pixel: number): number {
  return clamp01(depth / pixel + 0.5);
}

/** The share of a pixel that lies between two distances. */
function band(value: number, low: number, high: number, pixel: number): number {
  return coverage(value - low, pixel) * coverage(high - value, pixel);
}

// ---------------------------------------------------------------------------------------------------------
// The good part
// ---------------------------------------------------------------------------------------------------------

function makePart(random: Random): Part {
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

/** The key lamp, a fill lamp to its side, and a weak third one. */
function makeLamps(random: Random, keyAngle: number, brightness: number): Lamp[] {
  const fillAngle = keyAngle + between(random, 1.15, 1.25);
  const thirdAngle = keyAngle - between(random, 0.8, 0.9);
  return [
    makeLamp(keyAngle, between(random, 0.375, 0.405), 0.62 * brightness),
    makeLamp(fillAngle, between(random, 0.36, 0.4), 0.3 * brightness * between(random, 0.93, 1.07)),
    makeLamp(thirdAngle, between(random, 0.42, 0.46), 0.17 * brightness),
  ];
}

/** A lamp at an angle in the table's plane, whose half vector leans by `lean` from the vertical. */
function makeLamp(angle: number, lean: number, power: number): Lamp {
  const flat = Math.sin(lean);
  return { x: Math.cos(angle) * flat, y: Math.sin(angle) * flat, z: Math.cos(lean), power };
}

/** The six bolt holes, each within a drill's tolerance of its place. */
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

// ---------------------------------------------------------------------------------------------------------
// Rendering
// ---------------------------------------------------------------------------------------------------------

/** Draws the good part: display levels, row-major, 3 floats (0..255) a pixel, without noise. */
function renderPart(part: Part, size: number): Float32Array {
  const canvas = new Float32Array(size * size * 3);
  const color = new Float64Array(3);
  const surface = blankSurface();
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      renderPixel(part, size, x, y, surface, color);
      storeColor(canvas, (y * size + x) * 3, color);
    }
  }
  return canvas;
}

function storeColor(canvas: Float32Array, at: number, color: Float64Array): void {
  canvas[at] = color[0] ?? 0;
  canvas[at + 1] = color[1] ?? 0;
  canvas[at + 2] = color[2] ?? 0;
}

function blankSurface(): Surface {
  return { slopeU: 0, slopeV: 0, open: 1, gloss: 1, brushed: 1, tint: [...STEEL] };
}

/** Draws one pixel into `color` as levels 0..255; `surface` is scratch space. */
function renderPixel(
  part: Part,
  size: number,
  x: number,
  y: number,
  surface: Surface,
  color: Float64Array,
  flaw?: Flaw,
): void {
  const dx = ((x + 0.5) / size - part.centerX) / part.scale;
  const dy = ((y + 0.5) / size - part.centerY) / part.scale;
  const u = dx * part.cos + dy * part.sin;
  const v = dy * part.cos - dx * part.sin;
  const pixel = 1 / (size * part.scale);
  const radius = Math.sqrt(u * u + v * v);
  const cover = coverage(1 - radius, pixel);
  if (cover < 1) {
    shadeTable(part, u, v, radius, color);
  }
  if (cover > 0) {
    blendMetal(part, u, v, radius, pixel, cover, surface, color, flaw);
  }
  develop(part, dx, dy, color);
}

/** Lays the metal, and whatever shows through its openings, over `color` with a weight of `cover`. */
function blendMetal(
  part: Part,
  u: number,
  v: number,
  radius: number,
  pixel: number,
  cover: number,
  surface: Surface,
  color: Float64Array,
  flaw: Flaw | undefined,
): void {
  const holes = flaw?.holes ?? part.holes;
  resetSurface(surface);
  machineFace(part, surface, u, v, radius);
  engrave(surface, u, v, radius, pixel);
  const opening = Math.max(cutBore(surface, u, v, pixel), drillHoles(holes, surface, u, v, pixel));
  flaw?.alter?.(surface, u, v, pixel);
  const light = reflectance(part, surface, u / (radius || 1), v / (radius || 1));
  const inside = opening > 0 ? 0.006 + 0.42 * part.table * openingLight(part, holes, u, v, radius) : 0;
  for (let c = 0; c < 3; c += 1) {
    const metal = mix(light * (surface.tint[c] ?? 1), inside, opening);
    color[c] = mix(color[c] ?? 0, metal, cover);
  }
}

function resetSurface(surface: Surface): void {
  surface.slopeU = 0;
  surface.slopeV = 0;
  surface.open = 1;
  surface.gloss = 1;
  surface.brushed = 1;
  surface.tint[0] = STEEL[0];
  surface.tint[1] = STEEL[1];
  surface.tint[2] = STEEL[2];
}

/** Lines of the lathe, in rings and in arcs, with a faint unevenness of the whole face. */
function machineFace(part: Part, surface: Surface, u: number, v: number, radius: number): void {
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
  surface.open *= 1 - 0.05 * Math.abs(rings + arcs) + 0.03 * nicks;
  surface.gloss *= 1 + 0.05 * cloud;
  const edge = smoothStep(HUB_RADIUS + 0.1, HUB_RADIUS + 0.02, radius) * (radius > HUB_RADIUS ? 1 : 0);
  const away = radius > 0 ? -(u * part.keyU + v * part.keyV) / radius : 0;
  surface.open *= 1 - edge * (0.16 + 0.3 * clamp01(away));
}

/** The rim's and the hub's bevels, the engraved ring and the scale round it. */
function engrave(surface: Surface, u: number, v: number, radius: number, pixel: number): void {
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

/** The nearest line of the scale: every fourth is longer. */
function engraveTick(surface: Surface, outU: number, outV: number, radius: number, pixel: number): void {
  const steps = (Math.atan2(outV, outU) / TAU) * TICK_COUNT;
  const tick = Math.round(steps);
  const end = tick % 4 === 0 ? 0.918 : 0.875;
  const along = band(radius, 0.832, end, pixel);
  const across = ((steps - tick) / TICK_COUNT) * TAU * radius;
  cutLine(surface, { across, normalU: -outV, normalV: outU, half: TICK_HALF }, 0.6, 0.6 * along, pixel);
}

/** Replaces a share of the surface by a polished slope along a direction. */
function bevel(surface: Surface, dirU: number, dirV: number, slope: number, share: number): void {
  surface.slopeU = mix(surface.slopeU, slope * dirU, share);
  surface.slopeV = mix(surface.slopeV, slope * dirV, share);
  surface.brushed = mix(surface.brushed, 0.1, share);
}

/** Cuts a V-shaped line: steep sides, and less light the nearer its middle. */
function cutLine(surface: Surface, hit: LineHit, slope: number, shade: number, pixel: number): void {
  const share = coverage(hit.half - Math.abs(hit.across), pixel) * Math.min(1, (2 * hit.half) / pixel);
  if (share <= 0 || shade <= 0) {
    return;
  }
  const side = Math.max(-1, Math.min(1, (2 * hit.across) / hit.half));
  bevel(surface, hit.normalU, hit.normalV, slope * side, share * Math.min(1, shade * 1.4));
  surface.open *= 1 - shade * share * (1 - 0.4 * Math.abs(side));
}

/** Cuts the bore with its keyway and chamfers the edge; returns the share of the pixel that is open. */
function cutBore(surface: Surface, u: number, v: number, pixel: number): number {
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
function drillHoles(holes: Hole[], surface: Surface, u: number, v: number, pixel: number): number {
  const hole = nearestHole(holes, u, v);
  if (!hole) {
    return 0;
  }
  const distance = length(u - hole.u, v - hole.v);
  const outside = distance - hole.radius;
  const sink = band(outside, 0, BOLT_CHAMFER, pixel);
  bevel(surface, (u - hole.u) / (distance || 1), (v - hole.v) / (distance || 1), 0.62, sink);
  surface.open *= 1 - 0.22 * band(outside, BOLT_CHAMFER, BOLT_CHAMFER + 0.008, pixel);
  return coverage(-outside, pixel);
}

/** The hole within whose countersink (u, v) lies, if any. */
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

/** How much light falls on the table seen through an opening, 0..1: the side near the key lamp is dark. */
function openingLight(part: Part, holes: Hole[], u: number, v: number, radius: number): number {
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
 * Light that the metal sends to the camera, linear: an ambient part and, for each lamp, a lobe after Ward
 * that is narrow along the turning marks and wide across them. (outU, outV) points away from the centre.
 */
function reflectance(part: Part, surface: Surface, outU: number, outV: number): number {
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
  return (part.ambient + 0.17 * soft + 1.3 * surface.gloss * shine) * surface.open;
}

/** The table: matt, a little uneven, with the part's contact shadow and its soft shadow. */
function shadeTable(part: Part, u: number, v: number, radius: number, color: Float64Array): void {
  const fromShadow = length(u + part.keyU * 0.075, v + part.keyV * 0.075);
  const soft = smoothStep(1.14, 0.93, fromShadow);
  const contact = smoothStep(1.05, 0.99, radius);
  const lit = (1 - 0.68 * soft) * (1 - 0.4 * contact);
  const falloff = 1 + 0.1 * (u * part.keyU + v * part.keyV);
  const weave = part.noise(u * 48 + 128, v * 48 + 128, 256);
  color.fill(part.table * lit * falloff * (1 + 0.03 * weave));
}

/** Turns linear light into display levels 0..255: vignette, the light's colour, exposure curve, gamma 2. */
function develop(part: Part, dx: number, dy: number, color: Float64Array): void {
  const vignette = 1 - 0.045 * (dx * dx + dy * dy);
  for (let c = 0; c < 3; c += 1) {
    const light = Math.max(0, color[c] ?? 0) * vignette * (part.white[c] ?? 1);
    color[c] = 255 * Math.sqrt((1.5 * light) / (light + 0.72));
  }
}

/** Rounds levels to bytes, with noise that is mostly common to a pixel's channels. */
function addSensorNoise(canvas: Float32Array, deviation: number, random: Random): Uint8Array {
  const pixels = new Uint8ClampedArray(canvas.length);
  const spread = deviation * Math.sqrt(6);
  for (let i = 0; i < canvas.length; i += 3) {
    const common = (random() + random() - 1) * spread;
    const hue = (random() - 0.5) * spread * 0.6;
    pixels[i] = (canvas[i] ?? 0) + common + hue;
    pixels[i + 1] = (canvas[i + 1] ?? 0) + common;
    pixels[i + 2] = (canvas[i + 2] ?? 0) + common - hue;
  }
  return new Uint8Array(pixels.buffer);
}

// ---------------------------------------------------------------------------------------------------------
// Flaws
// ---------------------------------------------------------------------------------------------------------

const flawMakers: Record<SampleDefect, (part: Part, random: Random) => Flaw> = {
  scratch: makeScratch,
  dent: makeDent,
  stain: makeStain,
  crack: makeCrack,
  misdrill: makeMisdrill,
};

/** Draws a flaw over a good part's canvas and returns its mask; tries again when hardly any of it shows. */
function drawFlaw(
  canvas: Float32Array,
  part: Part,
  size: number,
  defect: SampleDefect,
  random: Random,
): Uint8Array {
  const enough = Math.max(3, size * size * ENOUGH_SHARE);
  let best: FlawDrawing | undefined;
  for (let attempt = 0; attempt < 12 && (best?.area ?? 0) < enough; attempt += 1) {
    const drawing = renderFlaw(canvas, part, size, flawMakers[defect](part, random));
    best = !best || drawing.area > best.area ? drawing : best;
  }
  if (!best || best.area === 0) {
    throw new Error(`no visible ${defect} could be drawn`);
  }
  canvas.set(best.canvas);
  return best.mask;
}

/** A canvas with a flaw on it, the flaw's mask, and the number of pixels in the mask. */
interface FlawDrawing {
  canvas: Float32Array;
  mask: Uint8Array;
  area: number;
}

/** A block of pixels; `right` and `bottom` are one past the last. */
interface PixelBox {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** Draws the flaw's surroundings again, with it, and marks the pixels that differ visibly. */
function renderFlaw(good: Float32Array, part: Part, size: number, flaw: Flaw): FlawDrawing {
  const canvas = good.slice();
  const changed = new Uint8Array(size * size);
  const color = new Float64Array(3);
  const surface = blankSurface();
  const box = pixelBox(part, size, flaw);
  for (let y = box.top; y < box.bottom; y += 1) {
    for (let x = box.left; x < box.right; x += 1) {
      const at = y * size + x;
      renderPixel(part, size, x, y, surface, color, flaw);
      storeColor(canvas, at * 3, color);
      changed[at] = isVisible(good, color, at * 3) || isCovered(part, size, x, y, flaw) ? 255 : 0;
    }
  }
  return { canvas, ...fillPinholes(changed, size, box) };
}

/** The pixels that a flaw's circle touches. */
function pixelBox(part: Part, size: number, flaw: Flaw): PixelBox {
  const x = (part.centerX + (flaw.u * part.cos - flaw.v * part.sin) * part.scale) * size;
  const y = (part.centerY + (flaw.v * part.cos + flaw.u * part.sin) * part.scale) * size;
  const reach = flaw.reach * part.scale * size + 2;
  return {
    left: Math.max(0, Math.floor(x - reach)),
    right: Math.min(size, Math.ceil(x + reach)),
    top: Math.max(0, Math.floor(y - reach)),
    bottom: Math.min(size, Math.ceil(y + reach)),
  };
}

function isVisible(good: Float32Array, color: Float64Array, at: number): boolean {
  for (let c = 0; c < 3; c += 1) {
    if (Math.abs((good[at + c] ?? 0) - (color[c] ?? 0)) >= VISIBLE_LEVELS) {
      return true;
    }
  }
  return false;
}

function isCovered(part: Part, size: number, x: number, y: number, flaw: Flaw): boolean {
  if (!flaw.covers) {
    return false;
  }
  const dx = ((x + 0.5) / size - part.centerX) / part.scale;
  const dy = ((y + 0.5) / size - part.centerY) / part.scale;
  const u = dx * part.cos + dy * part.sin;
  const v = dy * part.cos - dx * part.sin;
  return flaw.covers(u, v);
}

/** Whether (u, v) lies on metal rather than in an opening or off the part. */
function isMetal(part: Part, u: number, v: number): boolean {
  const radius = length(u, v);
  const inKeyway = Math.abs(u) < KEYWAY_HALF && v < 0 && v > -KEYWAY_TOP;
  const inHole = part.holes.some((hole) => isWithin(hole, u, v));
  return radius < 1 && radius > BORE_RADIUS && !inKeyway && !inHole;
}

/** Marks also the pixels that have 6 or more marked neighbours, which fills pinholes; counts the marks. */
function fillPinholes(changed: Uint8Array, size: number, box: PixelBox): { mask: Uint8Array; area: number } {
  const mask = changed.slice();
  let area = 0;
  for (let y = Math.max(1, box.top); y < Math.min(size - 1, box.bottom); y += 1) {
    for (let x = Math.max(1, box.left); x < Math.min(size - 1, box.right); x += 1) {
      const at = y * size + x;
      if (changed[at] !== 0 || markedNeighbours(changed, at, size) >= 6) {
        mask[at] = 255;
        area += 1;
      }
    }
  }
  return { mask, area };
}

function markedNeighbours(mask: Uint8Array, at: number, size: number): number {
  let sum = -(mask[at] ?? 0);
  for (let row = at - size; row <= at + size; row += size) {
    sum += (mask[row - 1] ?? 0) + (mask[row] ?? 0) + (mask[row + 1] ?? 0);
  }
  return sum / 255;
}

/** A place on the flange's face, `clear` away from every bolt hole where such a place is found. */
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

/** One or two thin, slightly bowed lines. */
function makeScratch(part: Part, random: Random): Flaw {
  const { u, v } = placeOnFace(part, random, 0.03);
  const span = between(random, 0.85, 1.2);
  const half = between(random, 0.013, 0.017);
  const strength = between(random, 0.95, 1.15);
  // Turning marks run round the centre: a scratch lies at 25 to 60 degrees to them.
  const side = random() < 0.5 ? -1 : 1;
  const angle = Math.atan2(v, u) + side * between(random, 0.52, 1.13);
  const bow = between(random, -0.12, 0.12) * span;
  const lines = [bowedLine(u, v, angle, span, bow, half)];
  if (random() < 0.5) {
    const gap = between(random, 0.04, 0.07);
    const beside = between(random, 0.4, 0.8) * span;
    const besideU = u - Math.sin(angle) * gap;
    const besideV = v + Math.cos(angle) * gap;
    lines.push(bowedLine(besideU, besideV, angle, beside, bow * 0.8, half * 0.8));
  }
  const alter = (surface: Surface, atU: number, atV: number, pixel: number): void => {
    for (const line of lines) {
      scoreLine(surface, line, atU, atV, pixel, strength);
    }
  };
  return { u, v, reach: span / 2 + 0.12, alter };
}

/** Points of a bowed line about a middle, thin at its ends. */
function bowedLine(
  u: number,
  v: number,
  angle: number,
  span: number,
  bow: number,
  half: number,
): LinePoint[] {
  const steps = 14;
  return Array.from({ length: steps + 1 }, (_, i) => {
    const t = (2 * i) / steps - 1;
    const along = (t * span) / 2;
    const aside = bow * (1 - t * t);
    return {
      u: u + along * Math.cos(angle) - aside * Math.sin(angle),
      v: v + along * Math.sin(angle) + aside * Math.cos(angle),
      half: half * Math.sqrt(1.05 - t * t),
    };
  });
}

/** A bright burr on one side of a line, a dark furrow on the other. */
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
  surface.open *= 1 + share * (side > -0.2 ? 1.1 : -0.75);
}

/** The share of a pixel that a line covers, also where the line is thinner than the pixel. */
function lineShare(hit: LineHit, pixel: number): number {
  const half = Math.max(hit.half, pixel * 0.5);
  return coverage(half - Math.abs(hit.across), pixel) * Math.min(1, (1.4 * hit.half) / half);
}

/** The nearest place on a line of joined points; beyond its ends the distance runs to the end point. */
function nearestOnLine(line: LinePoint[], u: number, v: number): LineHit {
  const hit: LineHit = { across: Infinity, normalU: 1, normalV: 0, half: 0 };
  for (let i = 1; i < line.length; i += 1) {
    measureSegment(line[i - 1] as LinePoint, line[i] as LinePoint, u, v, hit);
  }
  return hit;
}

/** Updates `hit` where this segment is nearer than what it holds. */
function measureSegment(from: LinePoint, to: LinePoint, u: number, v: number, hit: LineHit): void {
  const du = to.u - from.u;
  const dv = to.v - from.v;
  const span = Math.sqrt(du * du + dv * dv) || 1e-9;
  const t = clamp01(((u - from.u) * du + (v - from.v) * dv) / (span * span));
  const offU = u - from.u - t * du;
  const offV = v - from.v - t * dv;
  const distance = Math.sqrt(offU * offU + offV * offV);
  if (distance < Math.abs(hit.across)) {
    hit.normalU = -dv / span;
    hit.normalV = du / span;
    hit.across = offU * hit.normalU + offV * hit.normalV < 0 ? -distance : distance;
    hit.half = mix(from.half, to.half, t);
  }
}

/** A smooth oval hollow. */
function makeDent(part: Part, random: Random): Flaw {
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
      surface.open *= 1 - 0.35 * depth * (1 - square) * (1 - square);
    }
  };
  const covers = (atU: number, atV: number): boolean => {
    const [a, b] = local(atU, atV);
    return a * a + b * b < 0.6 && isMetal(part, atU, atV);
  };
  return { u, v, reach: size, alter, covers };
}

/** Linear reflectance of the films a stain may be, a factor for each of R, G and B. */
const stainTints: readonly (readonly [number, number, number])[] = [
  [0.72, 0.47, 0.27], // rust
  [0.5, 0.45, 0.36], // old oil
  [0.45, 0.5, 0.86], // heat tint, blue
  [0.85, 0.55, 0.2], // heat tint, straw
];

/** A wide uneven film with a darker edge, as of something that dried. */
function makeStain(part: Part, random: Random): Flaw {
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

/** A rounded, irregular closed outline: its radius, 0.4..1.6, at each angle. */
function makeOutline(random: Random): (angle: number) => number {
  const waves = [2, 3, 4, 5, 7].map((count) => ({
    count,
    height: between(random, 0.1, 0.36) / count,
    phase: between(random, 0, TAU),
  }));
  return (angle) =>
    waves.reduce((sum, { count, height, phase }) => sum + height * Math.cos(count * angle + phase), 1);
}

/** Tints the surface through a film of a thickness of 0..1, which dulls it too. */
function layFilm(surface: Surface, tint: readonly [number, number, number], film: number): void {
  for (let c = 0; c < 3; c += 1) {
    surface.tint[c] = (surface.tint[c] ?? 1) * mix(1, tint[c] ?? 1, film);
  }
  surface.gloss *= 1 - 0.25 * film;
}

/** A jagged line from an edge, with a branch. */
function makeCrack(part: Part, random: Random): Flaw {
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
    surface.open *= 1 - 0.92 * share;
  };
  return { u: start.u, v: start.v, reach: span * 1.5, alter };
}

/** Where a crack starts and which way it runs: a bolt hole's edge, the rim, or the bore. */
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

/** Points of a random walk that keeps near its angle and thins towards its end. */
function jaggedLine(
  random: Random,
  u: number,
  v: number,
  angle: number,
  span: number,
  half: number,
): LinePoint[] {
  const step = 0.028;
  const count = Math.max(3, Math.round(span / step));
  const points: LinePoint[] = [{ u, v, half }];
  let drift = 0;
  for (let i = 1; i <= count; i += 1) {
    const last = points[i - 1] as LinePoint;
    drift = 0.7 * drift + between(random, -0.35, 0.35);
    const heading = angle + drift + between(random, -0.65, 0.65);
    const thin = 1 - 0.5 * (i / count);
    const nextU = last.u + Math.cos(heading) * step;
    const nextV = last.v + Math.sin(heading) * step;
    points.push({ u: nextU, v: nextV, half: half * thin });
  }
  return points;
}

/** One bolt hole absent, off its place, or drilled too small. */
function makeMisdrill(part: Part, random: Random): Flaw {
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

function isWithin(hole: Hole, u: number, v: number): boolean {
  return length(u - hole.u, v - hole.v) < hole.radius;
}
