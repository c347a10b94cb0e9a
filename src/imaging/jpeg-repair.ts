/**
 * Repairs JPEG files that break the standard without losing a pixel, as some cameras write them: bytes between
 * segments, wrong spectral selection in a sequential scan, no end marker. Whatever else is wrong stays wrong, and the decoder
 * refuses it: restart markers with wrong numbers too, for they may tell that blocks were lost or sent twice.
 */
import { endOfScan, jpegMarker, jpegSegments } from './jpeg-segments.js';

export interface RepairedJpeg {
  readonly bytes: Uint8Array;
  /** What was wrong; at least one. */
  readonly faults: readonly string[];
}

/**
 * Repairs a JPEG file (ITU T.81, annex B).
 * @returns undefined if there is nothing that can be repaired.
 */
export function repairedJpeg(bytes: Uint8Array): RepairedJpeg | undefined {
  const parts: Uint8Array[] = [Uint8Array.of(0xff, jpegMarker.soi)];
  const faults = new Set<string>();
  let sequential = false;
  let at = 2;
  let ended = false;
  for (const { kind, start, end, data } of jpegSegments(bytes)) {
    if (start > at) faults.add('there are extra bytes between its segments');
    ended = kind === jpegMarker.eoi;
    if (ended) break;
    if (end > bytes.length || end < start + 4) return undefined;
    sequential ||= kind === jpegMarker.sof0 || kind === jpegMarker.sof1;
    const scan = kind === jpegMarker.sos;
    const repaired = scan && sequential ? withWholeSpectrum(data) : data;
    if (repaired !== data) faults.add('its scan header has a wrong spectral selection');
    parts.push(bytes.subarray(start, start + 4), repaired);
    at = scan ? endOfScan(bytes, end) : end;
    if (!scan) continue;
    parts.push(bytes.subarray(end, at));
  }
  if (!ended) faults.add('its end marker is missing');
  if (faults.size === 0) return undefined;
  return { bytes: Buffer.concat([...parts, Uint8Array.of(0xff, jpegMarker.eoi)]), faults: [...faults] };
}

/** Returns a scan's header with the spectral selection that a sequential scan must have: 0 to 63, no approximation. */
function withWholeSpectrum(header: Uint8Array): Uint8Array {
  const at = header.length - 3;
  const right = [0, 63, 0];
  if (at < 0 || right.every((byte, index) => header[at + index] === byte)) return header;
  const copy = Uint8Array.from(header);
  copy.set(right, at);
  return copy;
}
