/** Files as cameras and tools write them: the same pixels in any of them score the same; what cannot be used is named. */
import { crc32 } from 'node:zlib';
import sharp from 'sharp';
import t from 'tap';
import { drawSample } from '../../src/datasets/index.js';
import { decodeImage, decodeMask, type ImageError, renderOverlay } from '../../src/imaging/index.js';
import { sameBytes } from '../support/same-bytes.js';
import { tiff } from '../support/tiff.js';

const part = drawSample({ seed: 5, index: 0 });
const drawn = (scale: number) =>
  sharp(part.pixels, { raw: { width: part.width, height: part.height, channels: 3 } }).resize(
    part.width * scale,
    part.height * scale,
    { kernel: 'cubic' },
  );

const refused = async (bytes: Uint8Array): Promise<ImageError> => {
  try {
    await decodeImage(bytes, { inputSize: 32 });
  } catch (error) {
    return error as ImageError;
  }
  throw new Error('it was not refused');
};

/** A gray TIFF of float32. */
const floats = { samples: 1, photometric: 1, bits: 32, format: 3 };

t.test('the same pixels are the same input, whatever the container and the scale', async (t) => {
  for (const scale of [0.5, 1, 2]) {
    const raw = await drawn(scale).raw().toBuffer();
    const size = { width: scale * part.width, height: scale * part.height };
    const source = sharp(raw, { raw: { ...size, channels: 3 } });
    const png = await source.clone().png().toBuffer();
    for (const inputSize of [96, 128]) {
      const expected = (await decodeImage(png, { inputSize })).pixels;
      for (const [name, bytes] of Object.entries({
        webp: await source.clone().webp({ lossless: true }).toBuffer(),
        'tiff lzw': await source.clone().tiff({ compression: 'lzw' }).toBuffer(),
        'tiff deflate': await source
          .clone()
          .tiff({ compression: 'deflate', predictor: 'horizontal' })
          .toBuffer(),
        'tiff tiles': await source.clone().tiff({ compression: 'lzw', tile: true }).toBuffer(),
        BigTIFF: await source.clone().tiff({ compression: 'none', bigtiff: true }).toBuffer(),
        'big-endian': tiff({ ...size, pixels: raw, samples: 3, photometric: 2, big: true }),
      })) {
        const found = await decodeImage(bytes, { inputSize });
        t.match(found, size);
        t.ok(sameBytes(found.pixels, expected), `${name}, ${size.width} to ${inputSize}`);
        t.strictSame(found.warnings, [], name);
      }
      const { pixels } = await decodeImage({ pixels: raw, ...size }, { inputSize });
      t.ok(sameBytes(pixels, expected), 'decoded pixels');
      for (const [factor, high] of [
        [256, 65_280],
        [257, 65_535],
        [16, 4080],
        [4, 1020],
      ] as const) {
        const deep = sharp(
          Uint16Array.from(raw, (value) => value * factor),
          { raw: { ...size, channels: 3 } },
        );
        const range = { low: 0, high };
        for (const bytes of [
          await deep.clone().toColourspace('rgb16').png().toBuffer(),
          await deep.clone().toColourspace('rgb16').tiff({ compression: 'lzw' }).toBuffer(),
        ]) {
          const found = await decodeImage(bytes, { inputSize, range });
          t.ok(sameBytes(found.pixels, expected), `16 bits, up to ${high}`);
          t.strictSame(found.warnings, []);
        }
      }
    }
  }
});

t.test('a JPEG is scaled like its pixels in a PNG', async (t) => {
  for (const scale of [0.5, 1, 2, 4]) {
    const jpeg = await drawn(scale).jpeg({ quality: 90 }).toBuffer();
    const png = await sharp(jpeg).png().toBuffer();
    const [found, expected] = await Promise.all(
      [jpeg, png].map((bytes) => decodeImage(bytes, { inputSize: 64 })),
    );
    t.ok(found && expected && sameBytes(found.pixels, expected.pixels), `scale ${scale}`);
  }
});

/** Returns where a marker's segment starts. */
function segment(jpeg: Uint8Array, marker: number): number {
  for (let at = 2; at < jpeg.length; ) {
    if (jpeg[at + 1] === marker) return at;
    at += 2 + (((jpeg[at + 2] as number) << 8) | (jpeg[at + 3] as number));
  }
  throw new Error('there is no such segment');
}

t.test('faults of a JPEG that cost no pixel are repaired and told; others are refused', async (t) => {
  const jpeg = await drawn(1).jpeg({ quality: 90 }).toBuffer();
  const intact = await decodeImage(jpeg, { inputSize: 64 });
  t.strictSame(intact.warnings, []);
  const sos = segment(jpeg, 0xda);
  const dqt = segment(jpeg, 0xdb);
  const selection = Buffer.from(jpeg);
  const scan = sos + 2 + jpeg.readUInt16BE(sos + 2);
  selection.fill(0, scan - 3, scan);
  const junk = (bytes: Buffer) =>
    Buffer.concat([bytes.subarray(0, dqt), Buffer.from([0x00, 0x12]), bytes.subarray(dqt)]);
  for (const [fault, bytes, message] of [
    ['spectral selection as Samsung writes it', selection, /spectral selection/],
    ['bytes before a segment', junk(jpeg), /extra bytes between/],
    ['no end marker', jpeg.subarray(0, jpeg.length - 2), /end marker is missing/],
    ['all of it', junk(selection).subarray(0, jpeg.length), /extra bytes.*spectral selection.*end marker/],
  ] as const) {
    const found = await decodeImage(bytes, { inputSize: 64 });
    t.ok(sameBytes(found.pixels, intact.pixels), fault);
    t.equal(found.warnings.length, 1, fault);
    t.match(found.warnings[0], message);
    t.match(found.warnings[0], /no pixel is lost/);
    const map = { width: 8, height: 8, values: new Float32Array(64) };
    const size = { width: part.width, height: part.height };
    t.match(await sharp(await renderOverlay(bytes, map, 1, size)).metadata(), size, 'and it is shown');
  }
  const trailing = Buffer.concat([jpeg, Buffer.from('camera 7, 2026-11-27')]);
  t.ok(
    sameBytes((await decodeImage(trailing, { inputSize: 64 })).pixels, intact.pixels),
    'bytes after the end',
  );

  for (const [fault, bytes] of [
    ['cut in half', jpeg.subarray(0, jpeg.length / 2)],
    ['cut in half and ended', Buffer.concat([jpeg.subarray(0, jpeg.length / 2), Buffer.from([0xff, 0xd9])])],
    ['junk before a segment, and cut', junk(jpeg).subarray(0, jpeg.length / 2)],
    ['only its first bytes', jpeg.subarray(0, 20)],
  ] as const) {
    t.equal((await refused(bytes)).kind, 'damaged', fault);
  }
  const corrupt = Buffer.from(junk(jpeg));
  corrupt.fill(0x5a, corrupt.length - 600, corrupt.length - 200);
  t.equal((await refused(corrupt)).kind, 'damaged', 'a fault that can be repaired hides none that cannot');
});

/** 48 x 32, gray, with five restart markers, which sharp does not write. */
const withRestarts = Buffer.from(
  [
    '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIsIxwcKDcp',
    'LDAxNDQ0Hyc5PTgyPC4zNDL/wAALCAAgADABAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgED',
    'AwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RF',
    'RkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJ',
    'ytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/90ABAAE/9oACAEBAAA/AK9aOn6JfalhoYtsR/5aycL36evTHGa208Es',
    'UUvfgNjkCLIB+uahufBlzGm62uY5iASVZdh9gOv64r//0Ib6N9MLC+H2bb1Mp2jrjOTxjPeqHm3N3/x7jyIT/wAtZEO8+uEI',
    'GPYt3H3SMGuo8M6YuoaiXmQNBANzKeQxPQfzP4Y7139f/9H1KsqbWGmmkt9It0v5o2KSv5wSGFh1V3GSG4PyqrEcbgoINRS+',
    'HUvInbUbuW8umU7Hf5Y4WI6xxg4GMnBOXwSpYiuClieCZ4pBtdGKsM5wRwa//9LY8JX62uovbSYC3IADHswzgde+SPriurvd',
    'XtLKYWxLz3jLuS0gXfKwOQDgfdXIxvbCg9SKrf2bd6nzrLxCDtY2rvsPY+Y/ymUEfwlVX5iGD4BGrFDHbwpDDGkcUahERFAV',
    'VHAAA6AV/9P0y6uY7O1luJThI1LH39h7npXl9xM1zcyzuAGkcuQOmSc1nb7q74jV7WE/8tGx5jfRSCADx97nqNo610eja/ca',
    'QrR7ftEbtvcyuTIzYxkucknAA+bPCgDAFf/U69PGdgUUvb3IbHIAUgH65qG58aQhMWlrIzEHmUhQD24Gc/pXN3+q3mpPm5mJ',
    'XORGOFXr2/Hr1qlX/9k=',
  ].join(''),
  'base64',
);

t.test('a JPEG whose restart markers tell of lost or mixed blocks is refused', async (t) => {
  await t.resolves(decodeImage(withRestarts, { inputSize: 32 }));
  const starts = [...withRestarts.keys()].filter(
    (at) => withRestarts[at] === 0xff && ((withRestarts[at + 1] ?? 0) & 0xf8) === 0xd0,
  );
  t.equal(starts.length, 5);
  const [first = 0, second = 0, third = 0, fourth = 0] = starts;
  const wrong = Buffer.from(withRestarts);
  wrong[third + 1] = 0xd6;
  const part = (from: number, to?: number) => withRestarts.subarray(from, to);
  const renumberedFrom = (bytes: Buffer): Buffer => {
    const copy = Buffer.from(bytes);
    const markers = [...copy.keys()].filter(
      (at) => copy[at] === 0xff && ((copy[at + 1] ?? 0) & 0xf8) === 0xd0,
    );
    for (const [count, at] of markers.entries()) copy[at + 1] = 0xd0 + (count % 8);
    return copy;
  };
  const twice = Buffer.concat([part(0, third), part(second)]);
  for (const [name, bytes] of [
    ['a wrong number', wrong],
    ['blocks between two markers are lost', Buffer.concat([part(0, third), part(fourth)])],
    ['they are sent twice', twice],
    ['they are sent twice, and counted', renumberedFrom(twice)],
    [
      'two parts have changed places',
      Buffer.concat([part(0, first), part(second, third), part(first, second), part(third)]),
    ],
    [
      'one is lost, and another sent twice',
      Buffer.concat([part(0, second), part(third, fourth), part(third, fourth), part(fourth)]),
    ],
  ] as const) {
    t.equal((await refused(bytes)).kind, 'damaged', name);
  }
});

t.test('a progressive JPEG that lost whole scans is refused, though it has an end', async (t) => {
  const jpeg = await drawn(1).jpeg({ progressive: true }).toBuffer();
  await t.resolves(decodeImage(jpeg, { inputSize: 64 }));
  const scans = [...jpeg.keys()].filter((at) => jpeg[at] === 0xff && jpeg[at + 1] === 0xda);
  t.ok(scans.length > 5);
  for (const scan of scans.slice(1)) {
    const cut = Buffer.concat([jpeg.subarray(0, scan), Buffer.from([0xff, 0xd9])]);
    t.match((await refused(cut)).message, /incomplete: it is progressive, and its last scans are missing/);
  }
});

t.test('a JPEG without its last bytes is refused, even if its last rows are one strip', async (t) => {
  for (const [name, pipeline] of [
    ['4:4:4', drawn(1).jpeg({ quality: 100, chromaSubsampling: '4:4:4' })],
    ['4:2:0', drawn(1).jpeg({ quality: 90 })],
    ['gray', drawn(1).toColourspace('b-w').jpeg({ quality: 90 })],
    ['codes of its own', drawn(1).jpeg({ optimizeCoding: true })],
    ['progressive', drawn(1).jpeg({ progressive: true })],
  ] as const) {
    const jpeg = await pipeline.toBuffer();
    await t.resolves(decodeImage(jpeg, { inputSize: 64 }), name);
    const data = jpeg.length - 2;
    for (const lost of [3, 10, 100, 1000]) {
      const cut = jpeg.subarray(0, data - lost);
      const ended = Buffer.concat([cut, Buffer.from([0xff, 0xd9])]);
      t.equal((await refused(cut)).kind, 'damaged', `${name}, ${lost} bytes lost`);
      t.equal((await refused(ended)).kind, 'damaged', `${name}, ${lost} bytes lost, and an end marker`);
    }
  }
  const gray = await drawn(1).toColourspace('b-w').jpeg({ quality: 90 }).toBuffer();
  const ended = Buffer.concat([gray.subarray(0, gray.length - 12), Buffer.from([0xff, 0xd9])]);
  t.match((await refused(ended)).message, /the last \d+(\.\d)? % of its pixels are missing/);
});

t.test('what is not supported is not called damaged', async (t) => {
  const size = { width: 16, height: 16 };
  const gray = new Uint8Array(256).fill(100);
  const bands = (samples: number) => new Uint8Array(256 * samples).fill(100);
  const jpeg = await drawn(1).jpeg().toBuffer();
  const twelve = Buffer.from(jpeg);
  twelve[segment(jpeg, 0xc0) + 4] = 12;
  for (const [bytes, message] of [
    [
      tiff({ ...size, pixels: bands(5), samples: 5, photometric: 1, extra: [0, 0, 0, 0] }),
      /has 5 bands; wanted gray, RGB or CMYK/,
    ],
    [
      tiff({ ...size, pixels: bands(4), samples: 4, photometric: 2, extra: [0] }),
      /4 bands: RGB, and one that is not marked as transparency/,
    ],
    [tiff({ ...size, pixels: bands(4), samples: 4, photometric: 2 }), /4 bands: RGB, and one that is not/],
    [tiff({ ...size, pixels: gray, samples: 1, photometric: 32803 }), /color filter mosaic/],
    [tiff({ ...size, pixels: bands(3), samples: 3, photometric: 8 }), /the color space CIELAB; wanted gray/],
    [
      tiff({ ...size, pixels: bands(3), samples: 3, photometric: 6 }),
      /YCbCr without JPEG compression; wanted/,
    ],
    [
      tiff({ ...size, pixels: gray, samples: 1, photometric: 1, bits: 12 }),
      /12 bits per sample; wanted 8 or 16/,
    ],
    [tiff({ ...size, pixels: bands(4), samples: 1, photometric: 1, bits: 32 }), /32 bits per sample/],
    [tiff({ ...size, pixels: gray, samples: 1, photometric: 1, format: 2 }), /signed integers/],
    [tiff({ ...size, pixels: bands(4), samples: 1, photometric: 1, bits: 32, format: 3 }), /floating-point/],
    [
      tiff({ ...size, pixels: gray, samples: 1, photometric: 1, compression: 50000 }),
      /compressed with Zstandard/,
    ],
    [tiff({ ...size, pixels: gray, samples: 1, photometric: 1, compression: 34887 }), /compressed with LERC/],
    [twelve, /JPEG has 12 bits per sample/],
  ] as const) {
    const { kind, message: said } = await refused(bytes);
    t.equal(kind, 'unsupported', said);
    t.match(said, message);
  }
});

t.test('transparency in a TIFF is what the file says is transparency', async (t) => {
  const pixels = new Uint8Array(16 * 16 * 4).map((_, at) => (at % 4 === 3 ? 0 : 50));
  for (const extra of [[1], [2]]) {
    const clear = tiff({ width: 16, height: 16, pixels, samples: 4, photometric: 2, extra });
    const { pixels: found } = await decodeImage(clear, { inputSize: 32 });
    t.ok(
      found.every((value) => value === 255),
      'all of it is transparent, so white',
    );
  }
});

t.test('of several pages the first that is no thumbnail is used, and that is told', async (t) => {
  const size = { width: 16, height: 16 };
  const page = (value: number, reduced = false) => ({
    ...size,
    pixels: new Uint8Array(256).fill(value),
    samples: 1,
    photometric: 1,
    reduced,
  });
  const whole = await decodeImage(tiff(page(40), page(90)), { inputSize: 32 });
  t.equal(whole.pixels[0], 40);
  t.match(whole.warnings, ['the TIFF has 2 pages; only the first is used']);
  const small = { ...page(10, true), width: 4, height: 4, pixels: new Uint8Array(16).fill(10) };
  const after = await decodeImage(tiff(small, page(90)), { inputSize: 32 });
  t.match(after, size);
  t.equal(after.pixels[0], 90);
  t.match(after.warnings, [/the first page of the TIFF is a smaller version/]);
  t.strictSame((await decodeImage(tiff(page(90), small), { inputSize: 32 })).warnings, []);
  const old = {
    ...small,
    reduced: false,
    width: 12,
    pixels: new Uint8Array(48).fill(10),
    others: [[255, 2]],
  } as const;
  const unmarked = { ...small, reduced: false };
  for (const first of [old, unmarked]) {
    const found = await decodeImage(tiff(first, page(90)), { inputSize: 32 });
    t.equal(found.pixels[0], 90);
    t.match(found.warnings, [/the first page of the TIFF is a smaller version/]);
  }
  const raw = await refused(tiff({ ...small, others: [[330, 8]] }));
  t.match(raw, { kind: 'unsupported', message: /the full image inside its first page/ });
});

/** Puts other colors into the palette of a PNG, in the order of its own from dark to bright. */
function paletteColors(png: Buffer, colors: readonly number[]): Buffer {
  const copy = Buffer.from(png);
  const at = copy.indexOf('PLTE') + 4;
  const length = copy.readUInt32BE(at - 8);
  const red = (color: number): number => copy[at + 3 * color] as number;
  const order = Array.from({ length: length / 3 }, (_, color) => color).sort((a, b) => red(a) - red(b));
  const first = order.indexOf(0);
  if (first !== 0) throw new Error('black is not the first color of the palette');
  for (const [rank, color] of order.entries()) copy.set(colors.slice(3 * rank, 3 * rank + 3), at + 3 * color);
  copy.writeUInt32BE(crc32(copy.subarray(at - 4, at + length)), at + length);
  return copy;
}

t.test(
  'in a TIFF whose 0 is white, what is not 0 is a defect; that is told if it is most of the mask',
  async (t) => {
    const size = { width: 4, height: 1 };
    const of = (...pixels: number[]) =>
      decodeMask(
        tiff({ ...size, pixels: Uint8Array.from(pixels), samples: 1, photometric: 0, bits: 8, format: 1 }),
        size,
      );
    t.match(await of(0, 1, 0, 0), { marks: [0, 255, 0, 0], warnings: [] });
    t.match(await of(255, 255, 0, 255), {
      marks: [255, 255, 0, 255],
      warnings: ['in this TIFF 0 is white; what is not 0 counts as a defect, 75 % of the mask'],
    });
  },
);

t.test('files cut anywhere are refused or decoded, and never fail otherwise', async (t) => {
  const size = { width: 16, height: 8 };
  const values = Int16Array.from({ length: 128 }, (_, at) => at - 64);
  const signed = { samples: 1, photometric: 1, bits: 16, format: 2 };
  const jpeg = await drawn(0.125).jpeg().toBuffer();
  const files = {
    'signed TIFF': tiff({ ...size, pixels: new Uint8Array(values.buffer), ...signed }),
    'JPEG without an end': jpeg.subarray(0, -2),
    'JPEG with restart markers': withRestarts,
    'PNG with a palette': await drawn(0.125).png({ palette: true }).toBuffer(),
  };
  for (const [name, bytes] of Object.entries(files)) {
    const failures = new Set<string>();
    for (let length = 4; length < bytes.length; length += 1 + Math.floor(bytes.length / 300)) {
      for (const read of [
        () => decodeImage(bytes.subarray(0, length), { inputSize: 32 }),
        () => decodeMask(bytes.subarray(0, length), size),
      ]) {
        await read().catch((error: Error) => {
          if (error.name !== 'ImageError') failures.add(String(error.stack));
        });
      }
    }
    t.strictSame([...failures], [], name);
  }
});

t.test('every pixel of a mask that is not black is a defect, in any kind of file', async (t) => {
  const size = { width: 4, height: 1 };
  const raw = (values: readonly number[], channels: 1 | 3 | 4 = 1) =>
    sharp(Uint8Array.from(values), { raw: { ...size, channels } });
  const clear = [0, 0, 0, 0];
  const red = [255, 0, 0, 255];
  const black = [0, 0, 0, 255];
  const colored = paletteColors(
    await raw([0, 0, 0, 9, 9, 9, 200, 200, 200, 0, 0, 0], 3).png({ palette: true }).toBuffer(),
    [68, 1, 84, 33, 145, 140, 253, 231, 37],
  );
  const sixteen = sharp(Uint16Array.from([0, 1, 200, 65_535]), { raw: { ...size, channels: 1 } });
  for (const [name, bytes, expected] of [
    ['numbers of defects', await raw([0, 1, 2, 3]).png().toBuffer(), [0, 1, 1, 1]],
    ['0 and 1', await raw([0, 1, 1, 0]).png().toBuffer(), [0, 1, 1, 0]],
    ['two levels, neither black', await raw([10, 200, 200, 10]).png().toBuffer(), [0, 1, 1, 0]],
    ['16 bits', await sixteen.toColourspace('grey16').png().toBuffer(), [0, 1, 1, 1]],
    ['colors', await raw([0, 0, 0, 9, 0, 0, 0, 0, 9, 0, 9, 0], 3).png().toBuffer(), [0, 1, 1, 1]],
    [
      'floating point',
      tiff({ ...size, pixels: new Uint8Array(Float32Array.of(0, 0.2, 1, 0).buffer), ...floats }),
      [0, 1, 1, 0],
    ],
    [
      'red on transparent',
      await raw([...clear, ...red, ...red, ...clear], 4)
        .png()
        .toBuffer(),
      [0, 1, 1, 0],
    ],
    [
      'black on transparent',
      await raw([...clear, ...black, ...clear, ...black], 4)
        .png()
        .toBuffer(),
      [0, 1, 0, 1],
    ],
    [
      'red on opaque black',
      await raw([...black, ...red, ...black, ...red], 4)
        .png()
        .toBuffer(),
      [0, 1, 0, 1],
    ],
    [
      'a palette',
      await raw([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 0], 3).png({ palette: true }).toBuffer(),
      [0, 1, 1, 0],
    ],
    [
      'a lossless WebP',
      await raw([0, 0, 0, 3, 3, 3, 0, 0, 0, 7, 7, 7], 3).webp({ lossless: true }).toBuffer(),
      [0, 1, 0, 1],
    ],
    ['a palette without black: its first color is the background', colored, [0, 1, 1, 0]],
    ...(await Promise.all(
      (
        [
          ['0 and -1', Int32Array.of(0, -1, -1, 0), 32, 2],
          ['255 in a signed byte', Int8Array.of(0, -1, -1, 0), 8, 2],
          ['negative ones of 16 bits', Int16Array.of(0, -1, 2, 0), 16, 2],
          ['negative real numbers', Float32Array.of(0, -1, -1, 0), 32, 3],
          ['integers of 32 bits', Int32Array.of(0, 70_000, 3, 0), 32, 2],
          ['unsigned ones', Uint32Array.of(0, 70_000, 3, 0), 32, 1],
          ['signed ones of 8 bits', Int8Array.of(0, 1, 3, 0), 8, 2],
        ] as const
      ).map(([name, values, bits, format]) => {
        const pixels = new Uint8Array(values.buffer);
        return [
          name,
          tiff({ ...size, pixels, samples: 1, photometric: 1, bits, format }),
          [0, 1, 1, 0],
        ] as const;
      }),
    )),
    ['nothing', await raw([0, 0, 0, 0]).png().toBuffer(), [0, 0, 0, 0]],
    ['everything', await raw([255, 255, 255, 255]).png().toBuffer(), [1, 1, 1, 1]],
  ] as const) {
    const { marks } = await decodeMask(bytes, size);
    t.strictSame(
      [...marks],
      expected.map((mark) => mark * 255),
      name,
    );
  }
  const wide = { width: 64, height: 32 };
  const halves = Uint8Array.from({ length: 64 * 32 }, (_, at) => (at % 64 < 32 ? 0 : 255));
  const jpeg = await sharp(halves, { raw: { ...wide, channels: 1 } })
    .jpeg({ quality: 60 })
    .toBuffer();
  t.ok(
    sameBytes((await decodeMask(jpeg, wide)).marks, halves),
    'the noise of a JPEG around black is no defect',
  );
});

t.test(
  'values of 16 bits are scaled by the range of the detector, and what lies outside is told',
  async (t) => {
    const size = { width: 32, height: 32 };
    const values = Array.from({ length: 1024 }, (_, at) => at * 4);
    const png = await sharp(Uint16Array.from(values), { raw: { ...size, channels: 1 } })
      .toColourspace('grey16')
      .png()
      .toBuffer();
    const levels = async (bytes: Uint8Array, range?: { low: number; high: number }) => {
      const { pixels, warnings } = await decodeImage(bytes, { inputSize: 32, range });
      return { pixels: pixels.filter((_, at) => at % 3 === 0), warnings };
    };
    const within = await levels(png, { low: 0, high: 4092 });
    t.strictSame(
      [...within.pixels],
      values.map((value) => Math.round((255 * value) / 4092)),
    );
    t.strictSame(within.warnings, []);
    const outside = await levels(png, { low: 1024, high: 2048 });
    t.equal(outside.pixels[0], 0);
    t.equal(outside.pixels.at(-1), 255);
    t.match(outside.warnings, [
      /^75 % of the image's values lie outside the detector's value range, 1024 to 2048$/,
    ]);
    t.match((await levels(png)).warnings, [/16 bits per sample, but the detector has no value range/]);
    const shallow = await sharp(
      Uint8Array.from(values, (value) => value >> 4),
      {
        raw: { ...size, channels: 1 },
      },
    )
      .png()
      .toBuffer();
    t.match((await levels(shallow, { low: 0, high: 4092 })).warnings, [
      /^the image has 8 bits per sample, .* whose values 0 to 4092 become black to white/,
    ]);
    t.strictSame((await levels(shallow)).warnings, []);

    const white = tiff({
      ...size,
      pixels: new Uint8Array(Uint16Array.from(values).buffer),
      samples: 1,
      photometric: 0,
      bits: 16,
    });
    const turned = await levels(white, { low: 0, high: 4092 });
    t.strictSame(
      [...turned.pixels],
      values.map((value) => Math.round((255 * (4092 - value)) / 4092)),
      'the range is that of the values in the file, where 0 is white',
    );

    const ct = Int16Array.from(values, (value) => value - 1024);
    const signed = tiff({
      ...size,
      pixels: new Uint8Array(ct.buffer),
      samples: 1,
      photometric: 1,
      bits: 16,
      format: 2,
    });
    const shifted = await levels(signed, { low: -1024, high: 3068 });
    t.strictSame(shifted.pixels, within.pixels, 'signed values, as of a CT');

    const share = Float32Array.from(values, (value) => value / 4092);
    share[0] = Number.NaN;
    const float = tiff({ ...size, pixels: new Uint8Array(share.buffer), ...floats });
    const seen = await levels(float, { low: 0, high: 1 });
    t.strictSame(seen.pixels, within.pixels, 'floating-point values; what is no number is black');
    t.strictSame(seen.warnings, []);
    await t.rejects(levels(float), /floating-point pixels, and the detector has no value range/);
  },
);
