/** The segments of a JPEG file (ITU T.81, annex B). */

export const jpegMarker = {
  sof0: 0xc0,
  sof1: 0xc1,
  sof2: 0xc2,
  dht: 0xc4,
  jpg: 0xc8,
  dac: 0xcc,
  sof15: 0xcf,
  rst0: 0xd0,
  rst7: 0xd7,
  soi: 0xd8,
  eoi: 0xd9,
  sos: 0xda,
  dri: 0xdd,
} as const;

export interface JpegSegment {
  /** The second byte of its marker. */
  readonly kind: number;
  /** Where its marker is. */
  readonly start: number;
  /** Where it ends; for a scan's header, where its coded data begin. */
  readonly end: number;
  /** What follows its length. */
  readonly data: Uint8Array;
}

/**
 * Lists the segments up to the end marker, which has no data. What lies between segments is passed over: the coded data of
 * scans, and extra bytes.
 */
export function* jpegSegments(bytes: Uint8Array): Generator<JpegSegment> {
  for (let at = 2; ; ) {
    const start = nextMarker(bytes, at);
    const kind = bytes[start + 1];
    if (kind === undefined) return;
    const isEnd = kind === jpegMarker.eoi;
    const end = isEnd ? start + 2 : start + 2 + wordAt(bytes, start + 2);
    yield { kind, start, end, data: bytes.subarray(start + 4, end) };
    if (isEnd) return;
    at = kind === jpegMarker.sos ? endOfScan(bytes, end) : Math.max(end, start + 2);
  }
}

/** Returns the big-endian number of two bytes; 0 for those behind the end. */
export function wordAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

/** Returns whether a marker starts a frame, with arithmetic coding and lossless ones too. */
export function isFrame(kind: number): boolean {
  const { sof0, sof15, dht, jpg, dac } = jpegMarker;
  return kind >= sof0 && kind <= sof15 && ![dht, jpg, dac].some((other) => other === kind);
}

/** Returns the end of a scan's coded data, which may contain restart markers. */
export function endOfScan(bytes: Uint8Array, from: number): number {
  let at = nextMarker(bytes, from);
  while (isRestart(bytes[at + 1])) at = nextMarker(bytes, at + 2);
  return at + 1 < bytes.length ? at : bytes.length;
}

export function isRestart(kind: number | undefined): boolean {
  return kind !== undefined && kind >= jpegMarker.rst0 && kind <= jpegMarker.rst7;
}

/** Returns where the next marker starts: 0xFF and another byte than 0 or 0xFF, which fills. */
export function nextMarker(bytes: Uint8Array, from: number): number {
  let at = from;
  while (at + 1 < bytes.length && !(bytes[at] === 0xff && bytes[at + 1] !== 0 && bytes[at + 1] !== 0xff))
    at++;
  return at;
}
