/**
 * Repairs JPEG files that break the standard without losing a pixel, as some cameras write them: bytes between
 * segments, wrong spectral selection in a sequential scan, no end marker. Whatever else is wrong stays wrong, and the
 * decoder refuses it.
 */

export interface RepairedJpeg {
  readonly bytes: Uint8Array;
  /** What was wrong; at least one. */
  readonly faults: readonly string[];
}

const marker = { sof0: 0xc0, sof1: 0xc1, soi: 0xd8, eoi: 0xd9, sos: 0xda } as const;

/** Repairs a JPEG file (ITU T.81, annex B). @returns undefined if there is nothing that can be repaired. */
export function repairedJpeg(bytes: Uint8Array): RepairedJpeg | undefined {
  const parts: Uint8Array[] = [Uint8Array.of(0xff, marker.soi)];
  const faults = new Set<string>();
  let sequential = false;
  let at = 2;
  while (at < bytes.length) {
    const start = nextMarker(bytes, at);
    if (start > at) faults.add('there are extra bytes between its segments');
    const kind = bytes[start + 1];
    if (kind === undefined) break;
    if (kind === marker.eoi) return finished(parts, faults);
    const end = start + 2 + (((bytes[start + 2] ?? 0) << 8) | (bytes[start + 3] ?? 0));
    const segment = bytes.slice(start, end);
    if (end > bytes.length || segment.length < 4) return undefined;
    sequential ||= kind === marker.sof0 || kind === marker.sof1;
    if (kind === marker.sos && sequential && repairScan(segment)) {
      faults.add('its scan header has a wrong spectral selection');
    }
    parts.push(segment);
    at = end;
    if (kind !== marker.sos) continue;
    const next = endOfScan(bytes, at);
    parts.push(bytes.subarray(at, next));
    at = next;
  }
  faults.add('its end marker is missing');
  return finished(parts, faults);
}

function finished(parts: readonly Uint8Array[], faults: ReadonlySet<string>): RepairedJpeg | undefined {
  if (faults.size === 0) return undefined;
  return { bytes: Buffer.concat([...parts, Uint8Array.of(0xff, marker.eoi)]), faults: [...faults] };
}

/** Returns where the next marker starts: 0xFF and another byte than 0 or 0xFF, which fills. */
function nextMarker(bytes: Uint8Array, from: number): number {
  let at = from;
  while (at + 1 < bytes.length && !isMarker(bytes, at)) at++;
  return at;
}

/** Returns the end of a scan's coded data, which may contain restart markers. */
function endOfScan(bytes: Uint8Array, from: number): number {
  for (let at = from; at + 1 < bytes.length; at++) {
    const kind = bytes[at + 1] as number;
    const restart = kind >= 0xd0 && kind <= 0xd7;
    if (isMarker(bytes, at) && !restart) return at;
  }
  return bytes.length;
}

function isMarker(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0xff && bytes[at + 1] !== 0 && bytes[at + 1] !== 0xff;
}

/** Sets the spectral selection that a sequential scan must have: 0 to 63, no approximation. @returns if it was wrong. */
function repairScan(segment: Uint8Array): boolean {
  const at = segment.length - 3;
  const right = [0, 63, 0];
  if (right.every((byte, index) => segment[at + index] === byte)) return false;
  segment.set(right, at);
  return true;
}
