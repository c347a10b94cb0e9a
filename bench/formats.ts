/**
 * `npm run formats`: scores the same twenty parts in every format that is read, at one, two and four times the input's
 * size, and prints the largest difference to the PNG's score. Formats that keep every pixel must not differ at all.
 */
import sharp, { type Sharp } from 'sharp';
import { drawSample, sampleDefects } from '../src/datasets/index.js';
import { openDetector } from '../src/index.js';

const parts = 20;
const inputSize = 128;

const lossless = {
  'WebP, lossless': (image: Sharp) => image.webp({ lossless: true }),
  'TIFF, strips': (image: Sharp) => image.tiff({ compression: 'none' }),
  'TIFF, tiles': (image: Sharp) => image.tiff({ compression: 'none', tile: true }),
  'TIFF, LZW': (image: Sharp) => image.tiff({ compression: 'lzw' }),
  'TIFF, Deflate': (image: Sharp) => image.tiff({ compression: 'deflate', predictor: 'horizontal' }),
  BigTIFF: (image: Sharp) => image.tiff({ compression: 'lzw', bigtiff: true }),
  'PNG, 16 bits': (image: Sharp) => image.toColourspace('rgb16').png(),
  'TIFF, 16 bits': (image: Sharp) => image.toColourspace('rgb16').tiff({ compression: 'lzw' }),
} as const;

const lossy = {
  'JPEG, quality 100': (image: Sharp) => image.jpeg({ quality: 100, chromaSubsampling: '4:4:4' }),
  'WebP, quality 100': (image: Sharp) => image.webp({ quality: 100 }),
} as const;

const detector = await openDetector('sample', { provider: 'cpu' });
const { threshold } = detector.manifest.calibration;
console.log(
  `largest difference to the PNG's score, ${parts} parts; the threshold is ${threshold.toFixed(2)}`,
);
console.log(['format', '1x', '2x', '4x', 'verdicts that differ'].join('\t'));
let differ = false;
for (const [formats, exact] of [
  [lossless, true],
  [lossy, false],
] as const) {
  for (const [name, encode] of Object.entries(formats)) {
    const largest: number[] = [];
    let flips = 0;
    for (const scale of [1, 2, 4]) {
      let difference = 0;
      for (let index = 0; index < parts; index++) {
        const image = await drawn(index, scale);
        const png = await detector.score(await image.clone().png().toBuffer());
        const other = await detector.score(await encode(image.clone()).toBuffer());
        difference = Math.max(difference, Math.abs(png.score - other.score));
        if (png.verdict !== other.verdict) flips++;
      }
      largest.push(difference);
    }
    if (exact && largest.some((difference) => difference > 0)) differ = true;
    console.log([name, ...largest.map((value) => value.toFixed(4)), flips].join('\t'));
  }
}
await detector.close();
console.log(differ ? 'a lossless format differs' : 'lossless formats do not differ');
process.exitCode = differ ? 1 : 0;

/** Draws a part, every other one with a defect, at a multiple of the input's size. */
async function drawn(index: number, scale: number): Promise<Sharp> {
  const defect = index % 2 === 0 ? undefined : sampleDefects[index % sampleDefects.length];
  const { pixels, width, height } = drawSample({ seed: 77, index, ...(defect ? { defect } : {}) });
  const side = scale * inputSize;
  const { data, info } = await sharp(pixels, { raw: { width, height, channels: 3 } })
    .resize(side, side, { fit: 'fill', kernel: 'cubic' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return sharp(data, { raw: { width: info.width, height: info.height, channels: 3 } });
}
