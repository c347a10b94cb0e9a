/** The chunks of a PNG file (PNG 1.2, section 3). */
import { crc32 } from 'node:zlib';

const signatureBytes = 8;
/** Length, type and checksum. */
const frameBytes = 12;
const [typeAt, colorTypeAt] = [4, 17];

/** Returns a PNG file whose pixels are gray instead of colors of a palette: the numbers of the colors. */
export function grayPng(bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [bytes.subarray(0, signatureBytes)];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = signatureBytes; at + frameBytes <= bytes.length; ) {
    const end = at + frameBytes + view.getUint32(at);
    const type = Buffer.from(bytes.subarray(at + typeAt, at + typeAt + 4)).toString('latin1');
    if (type === 'IHDR') parts.push(withColorType(bytes.subarray(at, end), 0));
    else if (type === 'IDAT' || type === 'IEND') parts.push(bytes.subarray(at, end));
    at = end;
  }
  return Buffer.concat(parts);
}

function withColorType(header: Uint8Array, colorType: number): Uint8Array {
  const copy = Uint8Array.from(header);
  copy[colorTypeAt] = colorType;
  const sum = copy.length - 4;
  new DataView(copy.buffer).setUint32(sum, crc32(copy.subarray(typeAt, sum)));
  return copy;
}
