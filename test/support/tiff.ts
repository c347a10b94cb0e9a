/** Writes TIFF files with any tags, which no image library does. */

export interface TestPage {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
  readonly samples: number;
  readonly photometric: number;
  readonly bits?: number;
  readonly compression?: number;
  /** 1 unsigned, 2 signed, 3 floating point. */
  readonly format?: number;
  readonly extra?: readonly number[];
  /** Marks the page as a smaller version of another. */
  readonly reduced?: boolean;
  /** Other tags with one value each. */
  readonly others?: readonly (readonly [tag: number, value: number])[];
  /** Writes the file, of one page, in big-endian order. */
  readonly big?: boolean;
}

/** Returns a TIFF file (TIFF 6.0) with these pages, each in one strip. */
export function tiff(...pages: readonly TestPage[]): Buffer {
  const little = !pages[0]?.big;
  const number = (value: number, bytes: 2 | 4): Buffer => {
    const buffer = Buffer.alloc(bytes);
    if (little) buffer.writeUIntLE(value, 0, bytes);
    else buffer.writeUIntBE(value, 0, bytes);
    return buffer;
  };
  const short = (value: number): Buffer => number(value, 2);
  const long = (value: number): Buffer => number(value, 4);
  const parts: Buffer[] = [Buffer.from(little ? 'II' : 'MM'), short(42)];
  let length = 8;
  let directories = Buffer.alloc(0);
  const placed = (bytes: Buffer): number => {
    const padded = bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(1)]);
    parts.push(padded);
    length += padded.length;
    return length - padded.length;
  };
  // Data first, then all directories: where the first one is, is known only then.
  parts.push(Buffer.alloc(4));
  const entries = pages.map((page) => {
    const { width, height, samples, bits = 8, extra = [] } = page;
    const strip = placed(Buffer.from(page.pixels));
    const listed = (tag: number, values: readonly number[]): Buffer => {
      const data = Buffer.concat(values.map(short));
      const value =
        data.length <= 4 ? Buffer.concat([data, Buffer.alloc(4 - data.length)]) : long(placed(data));
      return Buffer.concat([short(tag), short(3), long(values.length), value]);
    };
    const single = (tag: number, value: number): Buffer =>
      Buffer.concat([short(tag), short(4), long(1), long(value)]);
    const others = (page.others ?? []).map(([tag, value]) => single(tag, value));
    const list = [
      single(254, page.reduced ? 1 : 0),
      single(256, width),
      single(257, height),
      listed(
        258,
        Array.from({ length: samples }, () => bits),
      ),
      listed(259, [page.compression ?? 1]),
      listed(262, [page.photometric]),
      single(273, strip),
      listed(277, [samples]),
      single(278, height),
      single(279, page.pixels.length),
      ...(extra.length > 0 ? [listed(338, extra)] : []),
      listed(
        339,
        Array.from({ length: samples }, () => page.format ?? 1),
      ),
      ...others,
    ];
    const tagOf = (entry: Buffer): number => (little ? entry.readUInt16LE(0) : entry.readUInt16BE(0));
    return list.sort((a, b) => tagOf(a) - tagOf(b));
  });
  const first = length;
  for (const [index, list] of entries.entries()) {
    const next = first + directories.length + 2 + 12 * list.length + 4;
    const last = index === entries.length - 1;
    directories = Buffer.concat([directories, short(list.length), ...list, long(last ? 0 : next)]);
  }
  parts[2] = long(first);
  return Buffer.concat([...parts, directories]);
}
