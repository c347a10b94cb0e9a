/**
 * `npm run check:openapi`: checks that openapi.yaml works with common tools. Lints it (redocly), generates clients
 * (openapi-typescript, openapi-python-client), and calls a running service with them. Installs the tools into
 * bench/.peers, once; needs Python 3.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { peerPython, root } from './peer.js';
import { startService } from './service.js';

const port = 18_088;
const url = `http://127.0.0.1:${port}`;
const document = join(root, 'openapi.yaml');
const example = join(root, 'examples/defect-1.png');
const tools = join(root, 'bench/.peers/openapi');
const packages = {
  '@redocly/cli': '2.77.0',
  'openapi-typescript': '7.13.0',
  'openapi-fetch': '0.17.0',
  typescript: '5.9.3',
  '@types/node': '20.19.43',
};

function run(command: string, args: readonly string[], cwd = root): void {
  const { status, error } = spawnSync(command, args, { cwd, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} exited with ${status}`);
}

await mkdir(tools, { recursive: true });
if (!existsSync(join(tools, 'node_modules/@redocly/cli'))) {
  await writeFile(join(tools, 'package.json'), JSON.stringify({ type: 'module', private: true }));
  const wanted = Object.entries(packages).map(([name, version]) => `${name}@${version}`);
  run('npm', ['install', '--no-audit', '--no-fund', '--save-exact', ...wanted], tools);
}
const tool = (name: string): string => join(tools, 'node_modules/.bin', name);
run(tool('redocly'), ['lint', document, '--config', join(root, 'bench/clients/redocly.yaml')]);

run(tool('openapi-typescript'), [document, '--output', join(tools, 'schema.d.ts')]);
await copyFile(join(root, 'bench/clients/openapi.ts.txt'), join(tools, 'client.ts'));
const options = [
  '--strict',
  '--module',
  'nodenext',
  '--target',
  'es2022',
  '--types',
  'node',
  '--skipLibCheck',
];
run(tool('tsc'), [...options, 'client.ts'], tools);

const python = peerPython('openapi-requirements.txt');
const client = join(tools, 'python');
await rm(client, { recursive: true, force: true });
const config = join(root, 'bench/clients/openapi-python-client.yaml');
const generator = join(dirname(python), 'openapi-python-client');
run(generator, [
  'generate',
  '--path',
  document,
  '--output-path',
  client,
  '--config',
  config,
  '--fail-on-warning',
]);

const service = await startService(port);
try {
  run('node', ['client.js', url, example], tools);
  await copyFile(join(root, 'bench/clients/openapi.py'), join(client, 'call.py'));
  run(python, ['call.py', url, example], client);
} finally {
  await service.stop();
}
console.log('openapi.yaml passes the linter, and both generated clients get scores');
