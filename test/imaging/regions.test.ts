/** Regions of drawn maps: outlines, boxes and areas in coordinates of the original image. */
import t from 'tap';
import { findRegions } from '../../src/imaging/index.js';

/** Returns a map from rows of digits, one per pixel; a dot is 0. */
function drawn(...rows: string[]) {
  const values = Float32Array.from([...rows.join('')], (sign) => (sign === '.' ? 0 : Number(sign)));
  return { width: rows.length, height: rows.length, values };
}

const own = ({ width, height }: { width: number; height: number }) => ({ width, height });

t.test('a block is one region with its area, box, peak and mean', async (t) => {
  const map = drawn(
    '........',
    '........',
    '..222...',
    '..262...',
    '..222...',
    '........',
    '........',
    '........',
  );
  const [region, ...others] = findRegions(map, 1, { width: 80, height: 160 });
  t.strictSame(others, []);
  t.equal(region?.peak, 6);
  t.ok(Math.abs((region?.mean ?? 0) - 14 / 5) < 1e-6);
  // The opening leaves a cross of five pixels. Its outline is where the map crosses 0.3 of the peak, 1.8: a tenth of a
  // pixel outside the centers of the outer pixels, where the map falls from 2 to 0.
  t.strictSame(region?.box, { x: 24, y: 48, width: 22, height: 44 });
  t.ok(region && region.area > 0.5 * 22 * 44 && region.area <= 22 * 44, `area ${region?.area}`);
  const [rings] = region?.polygons ?? [];
  t.equal(rings?.length, 1);
  t.strictSame(rings?.[0]?.at(0), rings?.[0]?.at(-1), 'a ring is closed');
});

t.test('the smoothed rim of a bright spot is not part of its region; that of a faint spot is', async (t) => {
  const rows = ['.......', '.22222.', '.29992.', '.29992.', '.29992.', '.22222.', '.......'];
  const [bright] = findRegions(drawn(...rows), 1, { width: 70, height: 70 });
  t.ok((bright?.box.width ?? 0) < 40, 'no pixels below 2.7');
  const [faint] = findRegions(drawn(...rows.map((row) => row.replaceAll('9', '3'))), 1, {
    width: 70,
    height: 70,
  });
  t.ok((faint?.box.width ?? 0) > 40, 'all pixels above the threshold');
});

t.test('specks and lines one pixel wide are removed, and the highest peak comes first', async (t) => {
  const map = drawn(
    '9.........', //
    '....777777',
    '..........',
    '.3........',
    '333....5..',
    '.3....555.',
    '.......5..',
    '..........',
    '..........',
    '..........',
  );
  const regions = findRegions(map, 1, own(map));
  t.strictSame(
    regions.map(({ peak }) => peak),
    [5, 3],
  );
});

t.test('a ring has a hole, which is not part of its area', async (t) => {
  const rows = Array.from({ length: 12 }, (_, y) =>
    Array.from({ length: 12 }, (_, x) => {
      const far = Math.max(Math.abs(x - 5.5), Math.abs(y - 5.5));
      return far < 5 && far > 1 ? '2' : '.';
    }).join(''),
  );
  const map = drawn(...rows);
  const [region] = findRegions(map, 1, own(map));
  t.equal(region?.polygons[0]?.length, 2, 'an outer ring and a hole');
  t.ok(region && region.area < 100 - 3, `area ${region?.area}`);
});

t.test('outlines of neighboring regions stay apart, and a region at the border is closed', async (t) => {
  const map = drawn(
    '222..222',
    '222..222',
    '222..222',
    '........',
    '........',
    '........',
    '........',
    '........',
  );
  const regions = findRegions(map, 1, own(map));
  t.equal(regions.length, 2);
  t.strictSame(
    regions.map(({ polygons }) => polygons.length),
    [1, 1],
  );
  const xs = regions.map(({ box }) => box.x).sort();
  t.equal(xs[0], 0);
  t.ok((xs[1] as number) > 4);
});

t.test('a good map has no regions', async (t) => {
  const map = drawn('....', '....', '....', '....');
  t.strictSame(findRegions(map, 1, own(map)), []);
});
