/** Image files that are whole, but that cannot be decoded to the colors they hold. Each is refused by its right name. */
import type { ImageFormat } from './formats.js';
import { jpegFrame } from './headers.js';
import { ImageError } from './image-error.js';
import { type TiffPage, tiffPages } from './tiff-tags.js';

/** 16 bits, unsigned or signed, or 32 bits floating point. */
export type DeepSample = 'unsigned' | 'signed' | 'float';

/** How to read a file: which of its pages, and what else it holds. */
export interface FileReading {
  readonly page: number;
  /** Of samples with more than 8 bits. */
  readonly deep?: DeepSample | undefined;
  /** Whether 0 is white in a file with such samples. */
  readonly inverted?: boolean;
  /** What a user should know, for example that there are other pages. */
  readonly warnings: readonly string[];
  /** Why the file cannot be used. */
  readonly refusal?: string | undefined;
  /** Whether it holds one number for each pixel, of a type that photos do not have. */
  readonly numbers?: boolean;
  /** Whether its pixels are numbers of colors in a palette. */
  readonly palette?: boolean;
  /** How the pixels of a TIFF are compressed: a number of the specification. */
  readonly compression?: number | undefined;
}

/** Where a PNG file says how many bits a sample has, and what it means: in IHDR, its first chunk. */
const [pngBitDepth, pngColorType] = [24, 25];

/** Reads from the header of a file how it is to be decoded. */
export function readingOf(bytes: Uint8Array, format: ImageFormat): FileReading {
  if (format === 'tiff') return tiffReading(tiffPages(bytes));
  const deep = format === 'png' && bytes[pngBitDepth] === 16 ? 'unsigned' : undefined;
  const palette = format === 'png' && bytes[pngColorType] === 3;
  const plain = { page: 0, deep, palette, warnings: [] } as const;
  const frame = format === 'jpeg' ? jpegFrame(bytes) : undefined;
  if (!frame || frame.bitsPerSample === 8) return plain;
  return { ...plain, refusal: `the JPEG has ${frame.bitsPerSample} bits per sample; save it with 8` };
}

/** A page that is narrower than this share of the widest one is a smaller version, even if it is not marked. */
const smallestShare = 0.5;

function tiffReading(pages: readonly TiffPage[]): FileReading {
  const largest = Math.max(...pages.map(({ width }) => width));
  const whole = pages.flatMap(({ reduced, width }, index) =>
    reduced || width < smallestShare * largest ? [] : [index],
  );
  const [page = 0] = whole;
  const warnings: string[] = [];
  if (whole.length > 1) warnings.push(`the TIFF has ${whole.length} pages; only the first is used`);
  if (page > 0) warnings.push('the first page of the TIFF is a smaller version; the next one is used');
  const tags = pages[page];
  if (!tags) return { page, warnings };
  return {
    page,
    deep: deepSampleOf(tags),
    inverted: tags.photometric === 0,
    numbers: isNumbers(tags),
    palette: tags.photometric === 3,
    warnings,
    refusal: refusalOf(tags),
    compression: tags.compression,
  };
}

function deepSampleOf({ bitsPerSample, photometric, sampleFormat }: TiffPage): DeepSample | undefined {
  if (sampleFormat === 3) return 'float';
  if (bitsPerSample !== 16 || ![0, 1, 2].includes(photometric)) return undefined;
  return sampleFormat === 2 ? 'signed' : 'unsigned';
}

/** Whether a page has one sample for each pixel, which is no shade of gray: 32 bits, or 8 bits with a sign. */
function isNumbers({ bitsPerSample, photometric, samplesPerPixel, sampleFormat }: TiffPage): boolean {
  const gray = samplesPerPixel === 1 && (photometric === 0 || photometric === 1);
  return gray && (bitsPerSample === 32 || (bitsPerSample === 8 && sampleFormat === 2));
}

/** What libtiff says of a compression that it lacks. */
const lacksIt = /not configured|decoding is not implemented/;

/** Returns the error of a file whose compression libvips lacks; undefined if its pixels are damaged. */
export function unreadCompression(compression: number, error: unknown): ImageError | undefined {
  if (!(error instanceof Error && lacksIt.test(error.message))) return undefined;
  const name = compressions[compression] ?? `scheme ${compression}`;
  return new ImageError(
    'unsupported',
    `the TIFF is compressed with ${name}, which is not supported; save it with LZW, Deflate or no compression`,
  );
}

/** Names of compressions that libvips may lack, by their number in the file. */
const compressions: Readonly<Record<number, string>> = {
  6: 'JPEG in its old style',
  34661: 'JBIG',
  34712: 'JPEG 2000',
  34887: 'LERC',
  34892: 'lossy JPEG of raw files',
  34925: 'LZMA',
  34933: 'PNG',
  50000: 'Zstandard',
  50001: 'WebP',
  50002: 'JPEG XL',
};

/** Color spaces by their number in the file, and how many samples they have. */
const photometrics: Readonly<Record<number, readonly [name: string, samples: number]>> = {
  0: ['gray', 1],
  1: ['gray', 1],
  2: ['RGB', 3],
  3: ['a palette', 1],
  5: ['CMYK', 4],
  6: ['YCbCr', 3],
};

/** Color spaces that exist in several encodings, of which libvips reads few. */
const unreadSpaces: Readonly<Record<number, string>> = {
  8: 'CIELAB',
  9: 'ICC Lab',
  10: 'ITU Lab',
  32844: 'LogL',
  32845: 'LogLuv',
};

const wantedBands = 'wanted gray, RGB or CMYK, with or without transparency';

function refusalOf(page: TiffPage): string | undefined {
  const { bitsPerSample, compression, photometric, samplesPerPixel, extraSamples, sampleFormat } = page;
  const { reduced, hasOthersInside } = page;
  if (photometric === 32803) {
    return 'the TIFF holds the color filter mosaic of a sensor; convert it to RGB first';
  }
  if (reduced && hasOthersInside) {
    return 'the TIFF holds the full image inside its first page, as raw files of cameras do; save it as a plain TIFF';
  }
  if (photometric === 6 && compression !== 6 && compression !== 7) {
    return `the TIFF is in the color space YCbCr without JPEG compression; ${wantedBands}`;
  }
  if (photometric === 34892) {
    return 'the TIFF holds linear raw data of a camera; convert it to RGB first';
  }
  const space = unreadSpaces[photometric];
  if (space !== undefined) return `the TIFF is in the color space ${space}; ${wantedBands}`;
  if (sampleFormat === 3) {
    const plain = bitsPerSample === 32 && photometric === 1 && samplesPerPixel === 1;
    return plain
      ? undefined
      : 'the TIFF has floating-point pixels; wanted them in a gray image of 32 bits, or unsigned integers of 8 or 16 bits';
  }
  if (sampleFormat === 2 && !(bitsPerSample === 16 && photometric === 1 && samplesPerPixel === 1)) {
    return 'the TIFF has signed integers; wanted unsigned ones of 8 or 16 bits, or signed ones in a gray image of 16 bits';
  }
  if (![1, 2, 4, 8, 16].includes(bitsPerSample)) {
    return `the TIFF has ${bitsPerSample} bits per sample; wanted 8 or 16`;
  }
  const [name, samples] = photometrics[photometric] ?? [];
  if (name === undefined || samples === undefined) return undefined;
  const extra = samplesPerPixel - samples;
  if (extra === 1 && extraSamples[0] !== 1 && extraSamples[0] !== 2) {
    return `the TIFF has ${samplesPerPixel} bands: ${name}, and one that is not marked as transparency, such as near infrared; ${wantedBands}`;
  }
  if (extra > 1) return `the TIFF has ${samplesPerPixel} bands; ${wantedBands}`;
  return undefined;
}
