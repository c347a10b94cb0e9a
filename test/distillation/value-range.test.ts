/** The value range of photos with more than 8 bits, when a few of their pixels say nothing. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { valueRange } from '../../src/distillation/good-files.js';
import { WholeRun } from '../../src/distillation/whole-run.js';
import type { ValueRange } from '../../src/imaging/index.js';
import { type TestPage, tiff } from '../support/tiff.js';

const size = { width: 64, height: 64 };

/** Measures three photos of these values. */
async function measured(
  folder: string,
  values: Uint16Array | Int16Array | Float32Array,
  page: Partial<TestPage>,
): Promise<{ readonly range: ValueRange | undefined; readonly warnings: readonly string[] }> {
  const bytes = tiff({
    ...size,
    pixels: new Uint8Array(values.buffer),
    samples: 1,
    photometric: 1,
    bits: 8 * values.BYTES_PER_ELEMENT,
    ...page,
  });
  const paths = ['a.tif', 'b.tif', 'c.tif'].map((name) => join(folder, name));
  await Promise.all(paths.map((path) => writeFile(path, bytes)));
  const warnings: string[] = [];
  const onWarning = (warning: string): void => void warnings.push(warning);
  const range = await valueRange(paths, { dataset: folder, out: '', onWarning }, new WholeRun(1, 1));
  return { range, warnings };
}

const tenBits = Array.from({ length: size.width * size.height }, (_, at) => 100 + (at % 900));

t.test('by default it is that of all values', async (t) => {
  const { range, warnings } = await measured(t.testdir(), Uint16Array.from(tenBits), {});
  t.strictSame(range, { low: 100, high: 999 });
  t.strictSame(warnings, []);
  const white = await measured(t.testdir(), Uint16Array.from(tenBits), { photometric: 0 });
  t.strictSame(white.range, { low: 100, high: 999 }, 'in the values of the file, where 0 is white, too');
});

t.test('a hot pixel, or pixels that are filled in, do not stretch it, and that is told', async (t) => {
  const hot = Uint16Array.from(tenBits);
  hot[70] = 65_535;
  const ct = Int16Array.from(tenBits, (value, at) => (at < 1000 ? -32_768 : value - 500));
  const float = Float32Array.from(tenBits, (value) => value / 1000);
  float[5] = -3.4028234663852886e38;
  float[6] = 1e6;
  for (const [name, values, page, least, most] of [
    ['a hot pixel', hot, {}, 100, 1225],
    ['padding of a CT', ct, { format: 2 }, -700, 725],
    ['no data', float, { format: 3 }, 0.1, 1.225],
  ] as const) {
    const { range, warnings } = await measured(t.testdir(), values, page);
    t.ok(
      range && range.low >= least && range.high <= most && range.high - range.low > (most - least) / 2,
      name,
    );
    t.match(
      warnings,
      [/nearly all values of the images lie in a small part of .* --range sets another/],
      name,
    );
  }
});
