/**
 * `npm run turned -- SOURCE TARGET [SEED]`: an MVTec tree of bright parts on a dark ground, such as MVTec AD's pill, with every part
 * turned by a random angle. The ground does not turn: it is the same in all photos, the median of the training photos around the part.
 * Masks turn with the parts.
 */
import { mkdir, readdir } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { randomStream } from '../src/random/random.js';

const [, , source, target, seed = '0'] = process.argv;
if (source === undefined || target === undefined)
  throw new Error('name the source tree and the target folder');

/** Gray value above which a pixel is no ground. */
const darkest = 40;
/** Pixels by which the part's outline is widened, and softened. */
const [margin, softness] = [6, 2];

const files = (await readdir(source, { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile() && /\.(png|jpe?g)$/i.test(entry.name))
  .map(({ parentPath, name }) => relative(source, join(parentPath, name)))
  .sort();
const photos = files.filter((file) => !file.startsWith('ground_truth'));
const training = photos.filter((file) => file.startsWith('train'));
const { width: side, height } = await sharp(join(source, training[0] as string)).metadata();
if (side !== height) throw new Error(`${source}: the photos are ${side} x ${height}; wanted squares`);

const { outline, ground } = await standStill();
const random = randomStream(Number(seed), 'turned');
for (const file of photos) {
  const angle = 360 * random();
  const part = await sharp(join(source, file)).removeAlpha().toColourspace('srgb').raw().toBuffer();
  const turnedOutline = await turned(raw(outline, 1), angle, 1);
  const turnedPart = await turned(raw(part, 3), angle, 3);
  const mixed = Buffer.from(ground);
  for (let at = 0; at < mixed.length; at++) {
    const share = (turnedOutline[Math.floor(at / 3)] as number) / 255;
    mixed[at] = Math.round(share * (turnedPart[at] as number) + (1 - share) * (ground[at] as number));
  }
  await write(raw(mixed, 3), file);
  const mask = file.replace(/^test/, 'ground_truth').replace(/\.\w+$/, '_mask.png');
  if (!files.includes(mask)) continue;
  const turnedMask = await turned(sharp(join(source, mask)).toColourspace('b-w').extractChannel(0), angle, 1);
  await write(
    raw(
      turnedMask.map((value) => (value > 127 ? 255 : 0)),
      1,
    ).toColourspace('b-w'),
    mask,
  );
}
console.log(`${photos.length} photos in ${target}`);

/** Returns where parts are, softened: uint8 [H, W], and the photo without a part: uint8 [H, W, 3]. */
async function standStill(): Promise<{ outline: Buffer; ground: Buffer }> {
  const some = training.filter((_, index) => index % Math.ceil(training.length / 60) === 0);
  const pixels = await Promise.all(
    some.map((file) =>
      sharp(join(source as string, file))
        .removeAlpha()
        .toColourspace('srgb')
        .raw()
        .toBuffer(),
    ),
  );
  const covered = Buffer.alloc(side * side);
  const median = Buffer.alloc(3 * side * side);
  for (let at = 0; at < covered.length; at++) {
    const bright = pixels.filter((photo) => Math.max(...photo.subarray(3 * at, 3 * at + 3)) > darkest);
    if (bright.length > 0.02 * some.length) covered[at] = 255;
    for (let channel = 0; channel < 3; channel++) {
      const sorted = pixels.map((photo) => photo[3 * at + channel] as number).sort((a, b) => a - b);
      median[3 * at + channel] = sorted[Math.floor(sorted.length / 2)] as number;
    }
  }
  // sharp erodes bright pixels.
  const wide = await raw(covered, 1).erode(margin).toColourspace('b-w').raw().toBuffer();
  const soft = await raw(wide, 1).blur(softness).toColourspace('b-w').raw().toBuffer();
  return { outline: soft, ground: await filled(median, wide) };
}

/** Fills the part's place with what surrounds it: means over ever larger neighborhoods. */
async function filled(photo: Buffer, covered: Buffer): Promise<Buffer> {
  const result = Buffer.from(photo);
  const open = Buffer.from(covered);
  for (let sigma = 4; open.includes(255) && sigma < side; sigma *= 2) {
    const known = Buffer.from(covered.map((value) => 255 - value));
    const blanked = Buffer.from(photo.map((value, at) => (covered[Math.floor(at / 3)] ? 0 : value)));
    const [weights, sums] = await Promise.all([
      raw(known, 1).blur(sigma).toColourspace('b-w').raw().toBuffer(),
      raw(blanked, 3).blur(sigma).raw().toBuffer(),
    ]);
    for (let at = 0; at < open.length; at++) {
      const weight = (weights[at] as number) / 255;
      if (open[at] !== 255 || weight < 0.1) continue;
      for (let channel = 3 * at; channel < 3 * at + 3; channel++) {
        result[channel] = Math.min(255, Math.round((sums[channel] as number) / weight));
      }
      open[at] = 0;
    }
  }
  return result;
}

function raw(pixels: Uint8Array, channels: 1 | 3): Sharp {
  return sharp(pixels, { raw: { width: side, height: side, channels } });
}

/** Turns a picture around its middle; what comes in from outside is black. */
async function turned(picture: Sharp, angle: number, channels: 1 | 3): Promise<Buffer> {
  const { data, info } = await picture
    .rotate(angle, { background: '#000' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  const all = sharp(data, { raw: { width: info.width, height: info.height, channels: info.channels } });
  const [left, top] = [info.width, info.height].map((length) => Math.floor((length - side) / 2)) as [
    number,
    number,
  ];
  const cut = all.extract({ left, top, width: side, height: side });
  return (channels === 1 ? cut.extractChannel(0).toColourspace('b-w') : cut.removeAlpha()).raw().toBuffer();
}

async function write(picture: Sharp, file: string): Promise<void> {
  const path = join(target as string, file.replace(/\.\w+$/, '.png'));
  await mkdir(dirname(path), { recursive: true });
  await picture.png().toFile(path);
}
