/** Decoding: all supported formats give the image as a user sees it; everything else is rejected. */
import sharp from 'sharp';
import t from 'tap';
import { asSeen } from '../../src/imaging/decode.js';
import { plainSize } from '../../src/imaging/headers.js';
import {
  decodeImage,
  decodeMask,
  defaultImageLimits,
  type ImageError,
  type ImageErrorKind,
  inspectImage,
} from '../../src/imaging/index.js';
import { picture, pictureJpeg, picturePng, pictureRaw } from '../support/images.js';
import { sameBytes } from '../support/same-bytes.js';

const solid = (color: string, width = 8, height = 4) =>
  sharp({ create: { width, height, channels: 3, background: color } });

/** Decodes an image at its own size, with the same checks as for detectors. */
async function decodeFullImage(bytes: Uint8Array) {
  const size = await inspectImage(bytes, defaultImageLimits);
  const seen = await asSeen(bytes, undefined, defaultImageLimits);
  const pixels: Uint8Array = await sharp(seen).raw({ depth: 'uchar' }).toBuffer();
  return { ...size, pixels };
}

async function firstPixel(bytes: Uint8Array): Promise<number[]> {
  return [...(await decodeFullImage(bytes)).pixels.subarray(0, 3)];
}

function near(actual: readonly number[], expected: readonly number[], by: number): boolean {
  return actual.every((value, channel) => Math.abs(value - (expected[channel] as number)) <= by);
}

t.test('the four formats decode to the same colors', async (t) => {
  const source = solid('#c03020');
  for (const [format, bytes] of [
    ['png', await source.clone().png().toBuffer()],
    ['jpeg', await source.clone().jpeg({ quality: 100 }).toBuffer()],
    ['webp', await source.clone().webp({ lossless: true }).toBuffer()],
    ['tiff', await source.clone().tiff({ compression: 'lzw' }).toBuffer()],
  ] as const) {
    const image = await decodeFullImage(bytes);
    t.match(image, { width: 8, height: 4 }, format);
    t.ok(near([...image.pixels.subarray(0, 3)], [0xc0, 0x30, 0x20], 2), format);
  }
});

t.test('EXIF orientation is applied to both pixels and size', async (t) => {
  const upright = picture(64, 48);
  const turned = await upright.clone().rotate(90).withMetadata({ orientation: 8 }).png().toBuffer();
  const image = await decodeFullImage(turned);
  t.match(image, { width: 64, height: 48 });
  t.ok(sameBytes(image.pixels, pictureRaw(64, 48)));
});

t.test('a size read from the header matches libvips, or is left to libvips', async (t) => {
  const upright = picture(61, 43);
  const files = {
    jpeg: await upright.clone().jpeg().toBuffer(),
    progressive: await upright.clone().jpeg({ progressive: true }).toBuffer(),
    gray: await upright.clone().toColourspace('b-w').jpeg().toBuffer(),
    profile: await upright.clone().keepIccProfile().withIccProfile('srgb').jpeg().toBuffer(),
    png: await upright.clone().png().toBuffer(),
    palette: await upright.clone().png({ palette: true }).toBuffer(),
  };
  for (const [name, bytes] of Object.entries(files)) {
    const format = name === 'png' || name === 'palette' ? 'png' : 'jpeg';
    t.match(plainSize(bytes, format), { width: 61, height: 43 }, name);
    for (let cut = 0; cut < 200; cut += 7) {
      const size = plainSize(bytes.subarray(0, cut), format);
      t.ok(size === undefined || (size.width === 61 && size.height === 43), `${name} cut at ${cut}`);
    }
  }
  for (const orientation of [1, 3, 6, 8]) {
    const turned = upright.clone().withMetadata({ orientation });
    t.equal(plainSize(await turned.clone().jpeg().toBuffer(), 'jpeg'), undefined, 'EXIF is left to libvips');
    t.equal(plainSize(await turned.clone().png().toBuffer(), 'png'), undefined);
  }
});

t.test('transparency becomes white', async (t) => {
  const clear = await sharp({
    create: { width: 4, height: 4, channels: 4, background: { r: 255, g: 0, b: 0, alpha: 0 } },
  })
    .png()
    .toBuffer();
  t.strictSame(await firstPixel(clear), [255, 255, 255]);
});

t.test('16-bit, gray and CMYK images become 8-bit sRGB', async (t) => {
  const gray16 = await sharp(new Uint16Array(64).fill(0x8080), { raw: { width: 8, height: 8, channels: 1 } })
    .toColourspace('grey16')
    .png()
    .toBuffer();
  t.strictSame(await firstPixel(gray16), [128, 128, 128]);
  const rgb16 = await sharp(new Uint16Array(192).fill(0x4040), { raw: { width: 8, height: 8, channels: 3 } })
    .toColourspace('rgb16')
    .png()
    .toBuffer();
  t.strictSame(await firstPixel(rgb16), [64, 64, 64]);
  const gray = await solid('#777777').toColourspace('b-w').jpeg().toBuffer();
  t.ok(near(await firstPixel(gray), [0x77, 0x77, 0x77], 1));
  const cmyk = await solid('#808080').toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer();
  t.ok(near(await firstPixel(cmyk), [0x80, 0x80, 0x80], 16), 'through the built-in profile');
});

t.test('an image is scaled to the square input of a detector', async (t) => {
  const image = await decodeImage(await picturePng(300, 100), { inputSize: 64 });
  t.equal(image.pixels.length, 64 * 64 * 3);
  t.match(image, { width: 300, height: 100 });
});

async function refusal(
  bytes: Uint8Array,
  limits?: { maxBytes: number; maxPixels: number },
): Promise<ImageErrorKind | undefined> {
  try {
    await decodeImage(bytes, { inputSize: 32 }, limits);
    return undefined;
  } catch (error) {
    return (error as ImageError).kind;
  }
}

t.test('a mask is white above half of its brightest pixel, so masks of 0 and 1 work too', async (t) => {
  const marked = [0, 1, 1, 0, 0, 1];
  for (const white of [1, 100, 255]) {
    const raw = Uint8Array.from(marked, (mark) => mark * white);
    const bytes = await sharp(raw, { raw: { width: 3, height: 2, channels: 1 } })
      .png()
      .toBuffer();
    t.strictSame(
      [...(await decodeMask(bytes, { width: 3, height: 2 })).marks],
      marked.map((mark) => mark * 255),
    );
  }
});

t.test('invalid and too large images are rejected with the kind of error', async (t) => {
  const jpeg = await pictureJpeg(400, 400);
  t.equal(await refusal(new Uint8Array()), 'empty');
  t.equal(await refusal(Buffer.from('not an image')), 'unsupported');
  t.equal(await refusal(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')), 'unsupported');
  t.equal(await refusal(await picture().gif().toBuffer()), 'unsupported');
  t.equal(await refusal(jpeg.subarray(0, jpeg.length / 2)), 'damaged', 'a JPEG cut in half');
  t.equal(await refusal(jpeg.subarray(0, 20)), 'damaged', 'a JPEG with only its first bytes');
  t.equal(await refusal(jpeg, { maxBytes: 1000, maxPixels: 1e6 }), 'too-many-bytes');
  t.equal(await refusal(jpeg, { maxBytes: 1e6, maxPixels: 159_999 }), 'too-many-pixels');
  t.equal(await refusal(jpeg, { maxBytes: 1e6, maxPixels: 160_000 }), undefined);
});

t.test('decoded pixels give the same result as their PNG file', async (t) => {
  const pixels = pictureRaw(90, 70);
  const input = { inputSize: 32 };
  const raw = await decodeImage({ pixels, width: 90, height: 70 }, input);
  const file = await decodeImage(await picturePng(90, 70), input);
  t.match(raw, { width: 90, height: 70 });
  t.ok(sameBytes(raw.pixels, file.pixels));
  await t.rejects(
    decodeImage({ pixels, width: 90, height: 70 }, input, { maxBytes: 100, maxPixels: 1e6 }),
    /at most 100 are accepted/,
  );
  await t.rejects(
    decodeImage({ pixels, width: 90, height: 70 }, input, { maxBytes: 1e6, maxPixels: 100 }),
    /90 x 70 = 0 megapixels/,
  );
});
