/** `npm run pictures`: draws the pictures of the README from the examples and the embedded detector. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { openDetector } from '../src/index.js';
import { root } from './peer.js';

const examples = ['good-1', 'good-2', 'defect-1', 'defect-2', 'defect-3', 'defect-4'];
const side = 200;

const detector = await openDetector('sample', { provider: 'cpu' });
const tiles = await Promise.all(
  examples.flatMap((name, column) => [0, 1].map(async (row) => ({ name, column, row }))),
);
const placed = [];
for (const { name, column, row } of tiles) {
  const image = await readFile(join(root, 'examples', `${name}.png`));
  const localization = await detector.localize(image);
  const picture = row === 0 ? image : await localization.overlay();
  if (row === 1) process.stdout.write(`${name}: ${localization.score.toFixed(2)}, ${localization.verdict}\n`);
  if (name === 'defect-2' && row === 1) await writeFile(join(root, 'docs', 'overlay.png'), picture);
  placed.push({
    input: await sharp(picture).resize(side, side).toBuffer(),
    left: column * side,
    top: row * side,
  });
}
await sharp({
  create: { width: examples.length * side, height: 2 * side, channels: 3, background: '#ffffff' },
})
  .composite(placed)
  .png({ palette: true, colours: 256 })
  .toFile(join(root, 'docs', 'result.png'));
await detector.close();
