/**
 * Reads the size of an image from its header. libvips takes as long for this as for decoding a small image, so this is
 * tried first. Unusual files (EXIF data that may rotate the image, an invalid header) are left to libvips.
 */
import { isFrame, jpegMarker, jpegSegments } from './jpeg-segments.js';
import type { PictureSize } from './map.js';

/** Returns the size of a JPEG or PNG without EXIF data; undefined if libvips must read it. */
export function plainSize(
  bytes: Uint8Array,
  format: 'jpeg' | 'png' | 'webp' | 'tiff',
): PictureSize | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    if (format === 'jpeg') return jpegSize(view);
    return format === 'png' ? pngSize(view) : undefined;
  } catch (error) {
    // The header ends too early.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Supported frames: baseline or progressive with Huffman coding. */
const frames: ReadonlySet<number> = new Set([0xc0, 0xc1, 0xc2]);

/** Segments without influence on the size: tables, comments, application data except EXIF. */
const others: ReadonlySet<number> = new Set([
  0xc4, 0xdb, 0xdd, 0xfe, 0xe0, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee,
  0xef,
]);

/** A JPEG segment: 0xFF, a marker, a length that includes its own two bytes, data (ITU T.81, B.1). */
function jpegSize(view: DataView): PictureSize | undefined {
  for (let at = 2; view.getUint8(at) === 0xff; ) {
    const marker = view.getUint8(at + 1);
    const length = view.getUint16(at + 2);
    if (frames.has(marker)) return sized(view.getUint16(at + 7), view.getUint16(at + 5));
    if (!others.has(marker) || length < 2) return undefined;
    at += 2 + length;
  }
  return undefined;
}

/** A PNG chunk: length, type, data, checksum. IHDR comes first; an optional eXIf comes before or after the pixels. */
function pngSize(view: DataView): PictureSize | undefined {
  const [ihdr, exif, iend] = [0x49484452, 0x65584966, 0x49454e44];
  if (view.getUint32(12) !== ihdr) return undefined;
  for (let at = 8; at < view.byteLength; at += 12 + view.getUint32(at)) {
    const type = view.getUint32(at + 4);
    if (type === exif) return undefined;
    if (type === iend) return sized(view.getUint32(16), view.getUint32(20));
  }
  return undefined;
}

/** Returns the precision of a JPEG; undefined if its header is damaged. */
export function jpegFrame(bytes: Uint8Array): { readonly bitsPerSample: number } | undefined {
  for (const { kind, data } of jpegSegments(bytes)) {
    if (isFrame(kind)) return data[0] === undefined ? undefined : { bitsPerSample: data[0] };
    if (kind === jpegMarker.sos) return undefined;
  }
  return undefined;
}

function sized(width: number, height: number): PictureSize | undefined {
  return width > 0 && height > 0 ? { width, height } : undefined;
}
