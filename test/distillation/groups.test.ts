/** Which part each photo shows: by pattern, folder or table; and what is proposed if nothing is said. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { numbersOf, partsOf } from '../../src/distillation/groups.js';
import { proposeGroups } from '../../src/distillation/linear/alike.js';
import { Products } from '../../src/distillation/linear/products.js';
import { normal, randomStream } from '../../src/random/random.js';
import { Device } from '../../src/runtime/index.js';

const groupsOf = async (of: readonly string[], by: string) => numbersOf((await partsOf(of, by)) ?? []);
const parts = ['a', 'b', 'c', 'd', 'e'];
const paths = parts.flatMap((part) => [`x/${part}/${part}-1.png`, `x/${part}/${part}-2.png`]);
const wanted = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4];

t.test('photos of one part have the same number', async (t) => {
  t.strictSame(await groupsOf(paths, '^([^-]+)-'), wanted, 'the first group of a pattern');
  t.strictSame(await groupsOf(paths, '^.'), wanted, 'the whole match');
  t.strictSame(await groupsOf(paths, 'folder'), wanted);
  const table = join(t.testdir(), 'parts.csv');
  const lines = paths.map((path) => `"${path}", part ${path[2]}`);
  await writeFile(table, `\ufefffile,part\r\n${lines.join('\r\n')}\r\n`);
  t.strictSame(await groupsOf(paths, table), wanted, 'a table as spreadsheets write it');
});

t.test('what does not say the part of each photo is refused', async (t) => {
  const table = join(t.testdir(), 'parts.csv');
  await writeFile(table, 'a-1.png,a\n');
  await t.rejects(groupsOf(paths, table), { message: /has no part for a-2\.png; wanted lines such as/ });
  await writeFile(table, 'a-1.png,a\na-1.png,b\n');
  await t.rejects(groupsOf(paths, table), { message: /it names a-1\.png twice, with a and b/ });
  await writeFile(table, 'a-1.png,"a\n');
  await t.rejects(groupsOf(paths, table), { name: 'DistillSettingsError' });
  await t.rejects(groupsOf(paths, join(t.testdirName, 'none.csv')), { message: /does not exist/ });
  await t.rejects(groupsOf(paths, '^(z)'), { message: /a-1\.png does not fit; wanted a pattern/ });
  await t.rejects(groupsOf(paths, '('), { name: 'DistillSettingsError', message: /groupBy \(/ });
  await t.rejects(groupsOf(paths, '[12]'), { message: /show only 2 parts; at least 4 are needed/ });
});

t.test('a pattern is proposed only if photos of the same name are alike', async (t) => {
  const device = await Device.open({ provider: 'cpu', threads: 1 });
  t.teardown(() => device.close());
  const products = await Products.open(device);
  const random = randomStream(0, 'parts');
  const noise = (): number[] => Array.from({ length: 20 }, () => normal(random));
  const alike = parts.flatMap(() => {
    const part = noise();
    return [0, 1].map(() => Float32Array.from(noise(), (value, at) => 0.3 * value + (part[at] as number)));
  });
  t.match(await proposeGroups(products, paths, alike), { pattern: '^([^-_ ]+)[-_ ]', parts: 5 });
  const apart = paths.map(() => Float32Array.from(noise()));
  t.equal(await proposeGroups(products, paths, apart), undefined, 'the names say nothing');
  const numbers = paths.map((_, at) => `${at}.png`);
  t.equal(await proposeGroups(products, numbers, alike), undefined, 'there is nothing to propose');
});
