/**
 * `npm run fuzz`: schemathesis with all its checks against openapi.yaml of a running service, first without a key, then
 * with an admin key on a copy of the detectors, where it may upload, activate and delete. One check is disabled
 * if a body is an image, an archive or a tensor, see clients/schemathesis.toml.
 */
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { modelsFolder } from '../src/detector/index.js';
import { hashKey, makeKey, writeKeyFile } from '../src/http/index.js';
import { peerPython, root } from './peer.js';
import { startService } from './service.js';

const examples = process.argv[2] ?? '100';
const seed = process.argv[3] ?? '1';
const port = 18_087;
const schemathesis = join(dirname(peerPython('fuzz-requirements.txt')), 'schemathesis');
const folder = await mkdtemp(join(tmpdir(), 'mkd-fuzz-'));

async function fuzz(name: string, flags: readonly string[], more: readonly string[]): Promise<boolean> {
  const detectors = join(folder, name);
  await cp(join(modelsFolder, 'sample'), join(detectors, 'sample'), { recursive: true });
  const service = await startService(port, '--detectors', detectors, ...flags);
  const socketsBefore = await service.sockets();
  const config = join(root, 'bench/clients/schemathesis.toml');
  const url = `http://127.0.0.1:${port}/openapi.yaml`;
  // SmoothGrad takes seconds.
  const options = ['--max-examples', examples, '--seed', seed, '--request-timeout', '60', ...more];
  const { status } = spawnSync(schemathesis, ['--config-file', config, 'run', url, ...options], {
    // It writes its findings into the working directory.
    cwd: folder,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  // Time for the service to drop bodies that were never completed.
  await wait(6000);
  const sockets = (await service.sockets()) - socketsBefore;
  const code = await service.stop();
  console.log(
    `${name}: schemathesis ended with ${status}, the service with ${code}; ${sockets} more sockets open than before`,
  );
  return status === 0 && code === 0 && sockets <= 0;
}

try {
  const key = makeKey();
  const keys = join(folder, 'keys.json');
  await writeKeyFile(keys, [{ name: 'fuzz', scopes: ['admin'], sha256: hashKey(key) }]);
  const anybody = await fuzz('anybody', [], []);
  const admin = await fuzz(
    'admin',
    ['--keys', keys],
    [
      '-H',
      `Authorization: Bearer ${key}`,
      // Without a detector, nothing is left to test; and the events of a job that is not started do not end.
      ...['retireDetector', 'v2Repositoryunload', 'followJob'].flatMap((operation) => [
        '--exclude-operation-id',
        operation,
      ]),
    ],
  );
  process.exitCode = anybody && admin ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
