/**
 * `npm run reloads`: uploads a detector, scores with it and retires it, 200 times. Each upload is read, verified and
 * warmed up; resident memory must not grow after the first twenty.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashKey, makeKey, writeKeyFile } from '../src/http/index.js';
import { copyDetector, filesOf, manifestWithThreshold, tarOf } from '../test/support/detectors.js';
import { root } from './peer.js';
import { Client, startService } from './service.js';

const reloads = Number(process.argv[2] ?? 200);
const settling = 20;
const port = 18_089;
const folder = await mkdtemp(join(tmpdir(), 'mkd-reloads-'));
const image = await readFile(join(root, 'examples/good-1.png'));

/** Returns an archive of the embedded detector with another threshold, and therefore another version. */
async function archiveOf(number: number): Promise<Buffer> {
  return tarOf({ ...(await filesOf()), 'manifest.json': await manifestWithThreshold(number / 1e4) });
}

try {
  const key = makeKey();
  const keys = join(folder, 'keys.json');
  await writeKeyFile(keys, [{ name: 'reloads', scopes: ['admin'], sha256: hashKey(key) }]);
  const detectors = join(folder, 'detectors');
  await copyDetector(join(detectors, 'part'));
  const service = await startService(port, '--detectors', detectors, '--keys', keys);
  const client = new Client(port, 1);
  const ask = async (method: string, path: string, body?: Buffer, type = 'image/png') => {
    const headers = { authorization: `Bearer ${key}`, ...(body ? { 'content-type': type } : {}) };
    const answer = await client.send(method, `/v1/detectors/part${path}`, body, headers);
    if (answer.status >= 300)
      throw new Error(`${method} ${path}: ${answer.status} ${answer.body.toString()}`);
    return answer.status === 204 ? undefined : (JSON.parse(answer.body.toString()) as { version: string });
  };
  let before = 0;
  let old = (await ask('GET', ''))?.version;
  for (let number = 1; number <= settling + reloads; number++) {
    const now = (await ask('POST', '/versions', await archiveOf(number), 'application/x-tar'))?.version;
    const scored = (await ask('POST', '/score', image))?.version;
    if (scored !== now) throw new Error(`version ${scored} answered instead of ${now}`);
    await ask('DELETE', `/versions/${old}`);
    old = now;
    if (number === settling) before = await service.residentBytes();
  }
  const after = await service.residentBytes();
  client.close();
  const code = await service.stop();
  const grown = (after - before) / 2 ** 20;
  console.log(
    `${reloads} reloads: resident memory ${(before / 2 ** 20).toFixed(0)} MiB before, ${(after / 2 ** 20).toFixed(0)} MiB after, ` +
      `${(grown / reloads).toFixed(2)} MiB each (an upload has ${((await archiveOf(0)).length / 2 ** 20).toFixed(1)} MiB); exit code ${code}`,
  );
  process.exitCode = grown < 0.1 * (before / 2 ** 20) && code === 0 ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
