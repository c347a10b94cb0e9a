/** Near-copies are found by thumbnails, whatever their brightness, and photos of other parts are none. */
import t from 'tap';
import { NearCopies } from '../../src/detector/index.js';
import { thumbnail, tileGrid } from '../../src/imaging/index.js';
import { randomStream } from '../../src/random/random.js';

const random = randomStream(1, 'near-copies');
const part = (): Uint8Array => Uint8Array.from({ length: 256 }, () => 60 + Math.floor(random() * 120));
const again = (photo: Uint8Array, by: number, brightness: number): Uint8Array =>
  photo.map((value) => Math.min(255, Math.max(0, value * brightness + (random() - 0.5) * by)));

t.test('the same part under another light is a near-copy, another part is none', (t) => {
  const photos = Array.from({ length: 12 }, part);
  const copies = new NearCopies(photos);
  for (const photo of photos) t.ok(copies.has(again(photo, 10, 1.3)));
  for (let other = 0; other < 20; other++) t.notOk(copies.has(part()));
  t.strictSame(copies.among(), []);
  t.end();
});

t.test('among photos, those of one known part are not compared', (t) => {
  const photos = Array.from({ length: 12 }, part);
  const all = [...photos, again(photos[3] as Uint8Array, 10, 0.8)];
  t.strictSame(new NearCopies(all).among(), [3, 12]);
  const parts = all.map((_, at) => (at === 12 ? 3 : at));
  t.strictSame(new NearCopies(all, parts).among(), []);
  t.end();
});

t.test('nothing is a near-copy of photos without anything on them', (t) => {
  const plain = Array.from({ length: 8 }, () => new Uint8Array(256).fill(90));
  const copies = new NearCopies(plain);
  t.notOk(copies.has(new Uint8Array(256).fill(90)));
  t.strictSame(copies.among(), []);
  t.end();
});

t.test('a thumbnail has the mean gray of each cell', (t) => {
  const grid = tileGrid({ width: 32, height: 32 }, { inputSize: 32 });
  const pixels = new Uint8Array(3 * 32 * 32);
  // Blue in the upper left cell of 2 x 2 pixels, half of it.
  for (const at of [0, 32]) pixels[3 * at + 2] = 255;
  const values = thumbnail({ grid, pixels });
  t.equal(values.length, 256);
  t.equal(values[0], Math.round(0.114 * 127.5));
  t.ok(values.subarray(1).every((value) => value === 0));
  t.end();
});
