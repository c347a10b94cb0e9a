/** What makes the command line pleasant: color on a terminal, contact sheets, completion. */
import { spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import t from 'tap';
import { runMkdOn } from '../support/run-mkd.js';

const examples = fileURLToPath(new URL('../../../examples', import.meta.url));

const mkd = (terminal: boolean, ...args: readonly string[]) => runMkdOn({ terminal }, ...args);

t.test('verdicts have a color on a terminal, and none in a pipe', async (t) => {
  const files = ['good-1.png', 'defect-1.png'].map((name) => join(examples, name));
  const start = String.fromCharCode(27);
  // The test runner turns colors off.
  delete process.env.NO_COLOR;
  const shown = await mkd(true, 'score', 'sample', ...files, '--provider', 'cpu');
  t.ok(shown.out.includes(`${start}[32mgood     ${start}[39m`));
  t.ok(shown.out.includes(`${start}[31manomalous${start}[39m`));
  const piped = await mkd(false, 'score', 'sample', ...files, '--provider', 'cpu');
  t.match(piped.out, /^good {6}-?\d/);
  t.notOk(piped.out.includes(start));
});

t.test('a sheet shows images with their heatmaps, the highest scores first', async (t) => {
  const path = join(t.testdir(), 'sheet.png');
  const { code, err } = await mkd(false, 'score', 'sample', examples, '--sheet', path, '--provider', 'cpu');
  t.equal(code, 0);
  t.match(err, /sheet\.png shows 7 images, anomalous ones in red/);
  const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
  // Seven images, six in a row.
  t.match(info, { width: 8 + 6 * 200, height: 8 + 2 * 200 });
  const frameOf = (index: number): number[] => {
    const [x, y] = [8 + (index % 6) * 200 - 2, 8 + Math.floor(index / 6) * 200 + 90];
    const at = (y * info.width + x) * info.channels;
    return [...data.subarray(at, at + 3)];
  };
  t.strictSame(frameOf(0), [0xb3, 0x36, 0x1b], 'the first is anomalous');
  t.strictSame(frameOf(6), [0x12, 0x80, 0x5c], 'the last is good');
});

t.test('shells complete commands, options and their values', async (t) => {
  const { out } = await mkd(false, 'completion', 'bash');
  const path = join(t.testdir(), 'mkd.bash');
  await writeFile(path, out);
  const completed = (...words: readonly string[]): string[] => {
    const list = words.map((word) => `'${word}'`).join(' ');
    const script = `source ${path}; COMP_WORDS=(mkd ${list}); COMP_CWORD=${words.length}; _mkd; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = spawnSync('bash', ['-c', script], { encoding: 'utf8', cwd: examples });
    return stdout.split('\n').filter(Boolean);
  };
  t.strictSame(completed('dis'), ['distill']);
  t.strictSame(completed('score', '--he').sort(), ['--heatmaps', '--help']);
  t.strictSame(completed('distill', '--recipe', 'p'), ['paper']);
  t.strictSame(completed('keys', 'add', '--sc'), ['--scope']);
  t.ok(completed('score', 'sample', 'good').includes('good-1.png'), 'files too');
  t.match((await mkd(false, 'completion', 'zsh')).out, /bashcompinit/);
  const fish = (await mkd(false, 'completion', 'fish')).out;
  t.match(fish, /complete -c mkd -f -n '__fish_use_subcommand' -a distill -d 'Distill a detector/);
  t.match(fish, /-l recipe -d '.*' -x -a '[a-z ]*paper/);
  const wrong = await mkd(false, 'completion', 'tcsh');
  t.equal(wrong.code, 2);
  t.match(wrong.err, /Allowed choices are bash, zsh, fish/);
  t.ok((await readFile(path)).length > 1000);
});
