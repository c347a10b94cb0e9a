/** Bowed and jagged lines of varying width, and their nearest point to a position. */

import { between, clamp01, coverage, mix, type Random } from './random.js';
import type { LineHit } from './surface.js';

/** A point of a line with the half width there. */
export interface LinePoint {
  u: number;
  v: number;
  half: number;
}

/** Returns the points of a bowed line around a center, thin at its ends. */
export function bowedLine(
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

/** Returns the points of a random walk that stays near its angle and gets thinner toward its end. */
export function jaggedLine(
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

/** Returns the share of a pixel that a line covers, also if the line is thinner than a pixel. */
export function lineShare(hit: LineHit, pixel: number): number {
  const half = Math.max(hit.half, pixel * 0.5);
  return coverage(half - Math.abs(hit.across), pixel) * Math.min(1, (1.4 * hit.half) / half);
}

/** Returns the nearest point of a polyline; beyond its ends, the end point. */
export function nearestOnLine(line: LinePoint[], u: number, v: number): LineHit {
  const hit: LineHit = { across: Infinity, normalU: 1, normalV: 0, half: 0 };
  for (let i = 1; i < line.length; i += 1) {
    measureSegment(line[i - 1] as LinePoint, line[i] as LinePoint, u, v, hit);
  }
  return hit;
}

/** Updates `hit` if this segment is nearer. */
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
