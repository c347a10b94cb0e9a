/** Tiles cover an image, and their maps are joined without seams. */
import t from 'tap';
import {
  cropped,
  decodeImage,
  MapStitcher,
  type TileGrid,
  tileBox,
  tileCount,
  tilePixels,
} from '../../src/imaging/index.js';
import { tileCorner, tileGrid } from '../../src/imaging/tiles.js';
import { picturePng } from '../support/images.js';

const shape = { inputSize: 32, tiling: { scale: 1, overlap: 8 } };
const all = (grid: TileGrid): number[] => Array.from({ length: tileCount(grid) }, (_, tile) => tile);

t.test('tiles cover an image to its edges and overlap as configured', async (t) => {
  const grid = tileGrid({ width: 100, height: 60 }, shape);
  t.match(grid, { width: 100, height: 60, tile: { width: 32, height: 32 } });
  for (const [edges, side] of [
    [grid.columns, grid.width],
    [grid.rows, grid.height],
  ] as const) {
    t.equal(edges[0], 0);
    t.equal((edges.at(-1) as number) + 32, side);
    for (const [index, edge] of edges.slice(1).entries()) {
      t.ok(edge - (edges[index] as number) <= 24, 'neighbors share at least 8 pixels');
    }
  }
});

t.test('an image is one tile without tiling, or if it is not larger than a tile', async (t) => {
  t.equal(tileCount(tileGrid({ width: 5000, height: 40 }, { inputSize: 32 })), 1);
  const small = tileGrid({ width: 20, height: 10 }, shape);
  t.match(small, { width: 32, height: 32, columns: [0], rows: [0] });
  t.equal(
    tileCount(tileGrid({ width: 64, height: 64 }, { ...shape, tiling: { scale: 0.5, overlap: 8 } })),
    1,
  );
});

t.test('the tiles of an image contain its pixels', async (t) => {
  const image = await decodeImage(await picturePng(100, 60), shape);
  for (const tile of all(image.grid)) {
    const [x, y] = tileCorner(image.grid, tile);
    const pixels = tilePixels(image, tile);
    const at = (column: number, row: number) => 3 * ((y + row) * image.grid.width + x + column);
    t.equal(pixels.length, 3 * 32 * 32);
    for (const [column, row] of [
      [0, 0],
      [31, 0],
      [5, 31],
    ] as const) {
      t.equal(pixels[3 * (32 * row + column)], image.pixels[at(column, row)]);
    }
  }
  t.strictSame(cropped(image, [0, 0]), tilePixels(image, 0));
});

t.test('joined maps equal the map of the whole image if the tiles agree', async (t) => {
  const grid = tileGrid({ width: 96, height: 80 }, shape);
  const whole = (x: number, y: number): number => x + 3 * y;
  const stitcher = new MapStitcher(grid);
  for (const tile of all(grid).reverse()) {
    const [left, top] = tileCorner(grid, tile);
    const map = Float32Array.from({ length: 32 * 32 }, (_, at) =>
      whole(left + (at % 32), top + Math.floor(at / 32)),
    );
    stitcher.add(tile, map);
  }
  const { width, height, values } = stitcher.map();
  t.strictSame([width, height], [24, 20]);
  const wrong = [...values.keys()].filter((at) => {
    const [x, y] = [4 * (at % width) + 1.5, 4 * Math.floor(at / width) + 1.5];
    return Math.abs((values[at] as number) - whole(x, y)) > 1e-3;
  });
  t.strictSame(wrong, []);
});

t.test('where tiles disagree, one fades into the other', async (t) => {
  const grid = tileGrid({ width: 56, height: 32 }, shape);
  const stitcher = new MapStitcher(grid);
  for (const tile of all(grid)) stitcher.add(tile, new Float32Array(32 * 32).fill(tile));
  const { width, values } = stitcher.map();
  const row = [...values.subarray(0, width)];
  t.equal(row[0], 0);
  t.equal(row.at(-1), 1);
  const steps = row.slice(1).map((value, index) => value - (row[index] as number));
  t.ok(steps.every((step) => step >= 0 && step < 0.6));
});

t.test("a tile's box is given in pixels of the image", async (t) => {
  const image = { width: 200, height: 120 };
  const grid = tileGrid(image, { inputSize: 32, tiling: { scale: 0.5, overlap: 8 } });
  t.strictSame(tileBox(grid, 0, image), { x: 0, y: 0, width: 64, height: 64 });
  t.match(tileBox(grid, tileCount(grid) - 1, image), { x: 200 - 64, width: 64 });
});
