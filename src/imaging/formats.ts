/** The formats that are read. */
export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'tiff';

/** Returns whether a file begins like one of the formats. */
export function isImageFile(bytes: Uint8Array): boolean {
  return formatOf(bytes) !== undefined;
}

/** Returns the format from the first bytes, because file names and content types may be wrong. */
export function formatOf(bytes: Uint8Array): ImageFormat | undefined {
  const starts = (at: number, ...expected: number[]): boolean =>
    expected.every((byte, index) => bytes[at + index] === byte);
  if (starts(0, 0xff, 0xd8)) return 'jpeg';
  if (starts(0, 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return 'png';
  if (starts(0, 0x52, 0x49, 0x46, 0x46) && starts(8, 0x57, 0x45, 0x42, 0x50)) return 'webp';
  if (starts(0, 0x49, 0x49, 0x2a, 0x00) || starts(0, 0x4d, 0x4d, 0x00, 0x2a)) return 'tiff';
  // BigTIFF
  if (starts(0, 0x49, 0x49, 0x2b, 0x00) || starts(0, 0x4d, 0x4d, 0x00, 0x2b)) return 'tiff';
  return undefined;
}
