/** Reads what a TIFF file says of its pixels. libvips takes any band for transparency and any bits for eight. */

/** Tags of one page; defaults are those of the specification (TIFF 6.0, sections 8 and 18 to 20). */
export interface TiffPage {
  readonly bitsPerSample: number;
  readonly compression: number;
  readonly photometric: number;
  readonly samplesPerPixel: number;
  /** Meaning of each sample beyond the colors: 0 unspecified, 1 and 2 transparency. */
  readonly extraSamples: readonly number[];
  /** 1 unsigned, 2 signed, 3 floating point. */
  readonly sampleFormat: number;
  /** Whether it is a smaller version of another page. */
  readonly reduced: boolean;
  /** In pixels. */
  readonly width: number;
  /** Whether it has pages of its own, which are not among those of the file. */
  readonly hasOthersInside: boolean;
}

const tags = {
  subfileType: 254,
  oldSubfileType: 255,
  width: 256,
  bitsPerSample: 258,
  compression: 259,
  photometric: 262,
  samplesPerPixel: 277,
  subDirectories: 330,
  extraSamples: 338,
  sampleFormat: 339,
} as const;

/** More pages than this are not looked at. */
const maxPages = 64;

/** Returns the pages of a TIFF or BigTIFF file; those before a fault if its directories are damaged. */
export function tiffPages(bytes: Uint8Array): TiffPage[] {
  const pages: TiffPage[] = [];
  try {
    const reader = new Reader(bytes);
    for (let at = reader.first; at > 0 && pages.length < maxPages; ) {
      const { values, next } = reader.directory(at);
      pages.push(pageOf(values));
      at = next;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return pages;
}

function pageOf(values: ReadonlyMap<number, readonly number[]>): TiffPage {
  const one = (tag: number, otherwise: number): number => values.get(tag)?.[0] ?? otherwise;
  return {
    bitsPerSample: one(tags.bitsPerSample, 1),
    compression: one(tags.compression, 1),
    photometric: one(tags.photometric, 1),
    samplesPerPixel: one(tags.samplesPerPixel, 1),
    extraSamples: values.get(tags.extraSamples) ?? [],
    sampleFormat: one(tags.sampleFormat, 1),
    reduced: (one(tags.subfileType, 0) & 1) === 1 || one(tags.oldSubfileType, 1) === 2,
    width: one(tags.width, 0),
    hasOthersInside: values.has(tags.subDirectories),
  };
}

/** Returns a TIFF file whose signed samples are called unsigned: the same bits, which libvips would clip at 0. */
export function withUnsignedSamples(bytes: Uint8Array): Uint8Array {
  return withTag(bytes, tags.sampleFormat, 1);
}

/** Returns a TIFF file whose samples are called gray, 0 black: numbers of colors, or gray in which 0 is white. */
export function withGraySamples(bytes: Uint8Array): Uint8Array {
  return withTag(bytes, tags.photometric, 1);
}

/** Returns a TIFF file in which all values of a tag are another number; up to a fault, if its directories are damaged. */
function withTag(bytes: Uint8Array, tag: number, value: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  try {
    const reader = new Reader(copy);
    for (let at = reader.first, page = 0; at > 0 && page < maxPages; page++) {
      at = reader.directory(at, (entry, position) => {
        if (entry === tag) reader.writeShort(position, value);
      }).next;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return copy;
}

/** Reads directories; a RangeError says that the file ends too early. */
class Reader {
  readonly #view: DataView;
  readonly #little: boolean;
  readonly #big: boolean;
  readonly #wanted = new Set<number>(Object.values(tags));
  /** Where the first directory is. */
  readonly first: number;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#little = this.#view.getUint8(0) === 0x49;
    this.#big = this.#short(2) === 43;
    this.first = this.#big ? this.#offset(8) : this.#offset(4);
  }

  /**
   * Reads the entries of a directory that are wanted, and where the next directory is; 0 if there is none.
   * @param visit called with each value's tag and position.
   */
  directory(
    at: number,
    visit?: (tag: number, position: number) => void,
  ): { readonly values: Map<number, number[]>; readonly next: number } {
    const count = this.#big ? this.#offset(at) : this.#short(at);
    const [begin, size] = this.#big ? [at + 8, 20] : [at + 2, 12];
    const values = new Map<number, number[]>();
    for (let entry = begin; entry < begin + count * size; entry += size) {
      const tag = this.#short(entry);
      if (this.#wanted.has(tag))
        values.set(
          tag,
          this.#values(entry, (position) => visit?.(tag, position)),
        );
    }
    return { values, next: this.#offset(begin + count * size) };
  }

  /** Reads the values of an entry, at most sixteen: shorts, longs or bytes. */
  #values(entry: number, visit: (position: number) => void): number[] {
    const type = this.#short(entry + 2);
    const count = this.#offset(entry + 4);
    const width = type === 3 ? 2 : type === 4 ? 4 : 1;
    const inline = entry + (this.#big ? 12 : 8);
    const at = count * width <= (this.#big ? 8 : 4) ? inline : this.#offset(inline);
    return Array.from({ length: Math.min(count, 16) }, (_, index) => {
      const position = at + index * width;
      visit(position);
      if (width === 2) return this.#short(position);
      return width === 4 ? this.#view.getUint32(position, this.#little) : this.#view.getUint8(position);
    });
  }

  writeShort(at: number, value: number): void {
    this.#view.setUint16(at, value, this.#little);
  }

  #short(at: number): number {
    return this.#view.getUint16(at, this.#little);
  }

  /** Reads an offset or a count: four bytes, or eight in BigTIFF. */
  #offset(at: number): number {
    return this.#big
      ? Number(this.#view.getBigUint64(at, this.#little))
      : this.#view.getUint32(at, this.#little);
  }
}
