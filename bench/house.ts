/**
 * `npm run house`: checks the structure of the code. No folder of src has more than 12 % of its lines, no file has more
 * than 300 lines without a reason at its top ("Longer than 300 lines: ..."), and the diagram of the floors in
 * docs/architecture.md matches the imports. `-- --write` updates the diagram. `npm run lint` checks the import rules.
 */
import { execFile } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { root } from './peer.js';

const maxFolderShare = 0.12;
const mostLines = 300;
const reason = /Longer than 300 lines: /;
/** Generated code. */
const generated = 'src/onnx/schema';
const page = join(root, 'docs/architecture.md');
const [begin, end] = ['<!-- floors: npm run house -- --write -->', '<!-- /floors -->'];

const faults: string[] = [];
await checkSizes();
await checkDrawing(process.argv.includes('--write'));
for (const fault of faults) console.error(fault);
process.exitCode = faults.length === 0 ? 0 : 1;

async function checkSizes(): Promise<void> {
  const entries = await readdir(join(root, 'src'), { recursive: true, withFileTypes: true });
  const byFolder = new Map<string, number>();
  let total = 0;
  for (const entry of entries) {
    if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
    const path = join(entry.parentPath, entry.name);
    const name = relative(root, path);
    if (name.startsWith(generated)) continue;
    const text = await readFile(path, 'utf8');
    const lines = text.split('\n').length - 1;
    total += lines;
    byFolder.set(dirname(name), (byFolder.get(dirname(name)) ?? 0) + lines);
    const head = text.slice(0, 2000);
    if (lines > mostLines && !reason.test(head))
      faults.push(`${name} has ${lines} lines; the maximum is ${mostLines}`);
  }
  const folders = [...byFolder].sort(([, a], [, b]) => b - a);
  console.log(`${total} lines; the largest folders:`);
  for (const [folder, lines] of folders.slice(0, 8)) {
    console.log(
      `  ${folder.padEnd(28)} ${String(lines).padStart(5)}  ${((100 * lines) / total).toFixed(1)} %`,
    );
  }
  for (const [folder, lines] of folders) {
    if (lines <= maxFolderShare * total) continue;
    faults.push(`${folder} has ${((100 * lines) / total).toFixed(1)} % of all lines; the maximum is 12 %`);
  }
}

async function checkDrawing(write: boolean): Promise<void> {
  const text = await readFile(page, 'utf8');
  const [before, rest = ''] = text.split(begin);
  const [, after] = rest.split(end);
  if (before === undefined || after === undefined) {
    faults.push(`docs/architecture.md lacks ${begin} and ${end}`);
    return;
  }
  const drawn = `${before}${begin}\n\n${await drawing()}\n\n${end}${after}`;
  if (write) await writeFile(page, drawn);
  else if (drawn !== text)
    faults.push('the diagram in docs/architecture.md is out of date; run npm run house -- --write');
}

/** Draws the floors in Mermaid, with an arrow for every import that no path of other arrows implies. */
async function drawing(): Promise<string> {
  const config: unknown = createRequire(import.meta.url)(join(root, '.dependency-cruiser.cjs'));
  const floors = (config as { floors: string[][] }).floors;
  const importsOf = await imports();
  const implied = (from: string, to: string): boolean =>
    [...(importsOf.get(from) ?? [])].some((other) => other !== to && reaches(importsOf, other, to));
  const arrows = [...importsOf].flatMap(([from, all]) =>
    [...all].filter((to) => !implied(from, to)).map((to) => `  ${idOf(from)} --> ${idOf(to)}`),
  );
  const boxes = [...floors].reverse().map((floor, index) => {
    const names = floor.map((name) => `    ${idOf(name)}["${name}"]`);
    return [`  subgraph floor${floors.length - index} [" "]`, '    direction LR', ...names, '  end'].join(
      '\n',
    );
  });
  return ['```mermaid', 'flowchart TB', ...boxes, ...arrows.sort(), '```'].join('\n');
}

/** Returns which folders of src each folder imports. */
async function imports(): Promise<Map<string, Set<string>>> {
  const cruiser = join(root, 'node_modules/.bin/depcruise');
  const { stdout } = await promisify(execFile)(
    cruiser,
    ['src', '--config', '.dependency-cruiser.cjs', '--output-type', 'json', '--include-only', '^src'],
    { cwd: root, maxBuffer: 2 ** 28 },
  );
  const { modules } = JSON.parse(stdout) as {
    modules: { source: string; dependencies: { resolved: string }[] }[];
  };
  const knows = new Map<string, Set<string>>();
  for (const { source, dependencies } of modules) {
    const from = folderOf(source);
    for (const { resolved } of dependencies) {
      const to = folderOf(resolved);
      if (to === from) continue;
      knows.set(from, (knows.get(from) ?? new Set()).add(to));
    }
  }
  return knows;
}

function reaches(knows: ReadonlyMap<string, ReadonlySet<string>>, from: string, to: string): boolean {
  return from === to || [...(knows.get(from) ?? [])].some((other) => reaches(knows, other, to));
}

function folderOf(path: string): string {
  return path.split('/')[1] as string;
}

function idOf(name: string): string {
  return name.replace('.ts', '');
}
