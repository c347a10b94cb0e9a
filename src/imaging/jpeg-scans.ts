/**
 * Looks for scans that a progressive JPEG lacks. Each scan makes some coefficients finer; a file that lost its last scans
 * and still has an end marker decodes without a warning, to a coarser picture (ITU T.81, annex G).
 */
import { isFrame, jpegMarker, jpegSegments } from './jpeg-segments.js';

const coefficientCount = 64;

/** Returns whether every coefficient of a progressive file has all of its bits; true for other files. */
export function hasAllScans(bytes: Uint8Array): boolean {
  /** Of each component, by its number: the lowest bit known of each coefficient. */
  const components = new Map<number, Uint8Array>();
  const unknown = 0xff;
  for (const { kind, data } of jpegSegments(bytes)) {
    if (isFrame(kind) && kind !== jpegMarker.sof2) return true;
    if (kind === jpegMarker.sof2) {
      for (let index = 0; index < (data[5] ?? 0); index++) {
        components.set(data[6 + 3 * index] ?? 0, new Uint8Array(coefficientCount).fill(unknown));
      }
    }
    if (kind !== jpegMarker.sos) continue;
    const count = data[0] ?? 0;
    const [first = 0, last = 0, approximation = 0] = data.subarray(1 + 2 * count);
    for (let index = 0; index < count; index++) {
      components.get(data[1 + 2 * index] ?? 0)?.fill(approximation & 15, first, last + 1);
    }
  }
  return [...components.values()].every((lowest) => lowest.every((bit) => bit === 0));
}
