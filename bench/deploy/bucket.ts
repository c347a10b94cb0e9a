/** Detectors and images in a bucket, on a server that speaks S3: replicas follow it, workers read and write there. */
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { modelsFolder } from '../../src/detector/index.js';
import { Storage } from '../../src/files/storage.js';
import { freePort } from '../../test/support/free-port.js';
import { RedisServer } from '../../test/support/redis.js';
import { WorkerProcess } from '../../test/support/worker.js';
import { peerPython, root } from '../peer.js';
import { startService } from '../service.js';
import { Running, run } from './tools.js';

const bucket = 's3://factory';
const program = join(root, 'dist/src/cli/main.js');

export async function usesBucket(folder: string): Promise<string> {
  const port = await freePort();
  const begin = (): Running =>
    new Running(peerPython('moto.txt'), ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)]);
  let server = begin();
  const address = `http://127.0.0.1:${port}`;
  Object.assign(process.env, {
    AWS_ENDPOINT_URL_S3: address,
    AWS_REGION: 'eu-central-1',
    AWS_ACCESS_KEY_ID: 'nobody',
    AWS_SECRET_ACCESS_KEY: 'nothing',
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
  });
  const storage = new Storage();
  const redis = await RedisServer.start();
  try {
    await server.until(`${address}/moto-api/`);
    await createBucket();
    await upload(storage, join(modelsFolder, 'sample'), `${bucket}/detectors/sample`);
    /** The server of the bucket ends, and comes back without what it held. */
    const restarts = async (service: number): Promise<void> => {
      await server.stop('SIGKILL');
      await scores(service);
      server = begin();
      await server.until(`${address}/moto-api/`);
      await createBucket();
      // Two looks at an empty bucket.
      await wait(5000);
      await scores(service);
      await upload(storage, join(modelsFolder, 'sample'), `${bucket}/detectors/sample`);
    };
    const seconds = await follows(storage, restarts);
    const rows = await works(storage, redis, folder);
    return `a new detector served after ${seconds.toFixed(1)} s, a change over HTTP refused; the server killed and started again empty: the detectors stay; ${rows} rows from and to the bucket`;
  } finally {
    await storage.close();
    await redis.kill();
    await server.stop();
  }
}

async function createBucket(): Promise<void> {
  const client = new S3Client({ forcePathStyle: true });
  const configuration = { LocationConstraint: 'eu-central-1' } as const;
  await client.send(new CreateBucketCommand({ Bucket: 'factory', CreateBucketConfiguration: configuration }));
  client.destroy();
}

/** @throws Error if a replica does not score. */
async function scores(port: number): Promise<void> {
  const body = await readFile(join(root, 'examples/good-1.png'));
  const { status } = await fetch(`http://127.0.0.1:${port}/v1/detectors/flange/score`, {
    method: 'POST',
    headers: { 'content-type': 'image/png' },
    body,
  });
  if (status !== 200) throw new Error(`without its bucket the service answers ${status}`);
}

/** @returns the seconds until a replica served what was put into the bucket. */
async function follows(storage: Storage, restarts: (port: number) => Promise<void>): Promise<number> {
  const port = await freePort();
  const service = await startService(
    port,
    '--provider',
    'cpu',
    '--detectors',
    `${bucket}/detectors`,
    '--local-admin',
  );
  try {
    const names = async (): Promise<string[]> => {
      const answer = await fetch(`http://127.0.0.1:${port}/v1/detectors`);
      const { detectors } = (await answer.json()) as { detectors: { name: string }[] };
      return detectors.map(({ name }) => name);
    };
    if ((await names()).join() !== 'sample') throw new Error(`it serves ${await names()}`);
    const refused = await fetch(`http://127.0.0.1:${port}/v1/detectors/sample`, { method: 'DELETE' });
    const { detail } = (await refused.json()) as { detail: string };
    if (refused.status < 400 || !detail.includes(bucket))
      throw new Error(`deleting is answered ${refused.status}: ${detail}`);
    const began = performance.now();
    await upload(storage, join(modelsFolder, 'sample'), `${bucket}/detectors/flange`);
    while (!(await names()).includes('flange')) {
      if (performance.now() - began > 30_000) throw new Error('a new detector does not serve after 30 s');
      await wait(100);
    }
    const seconds = (performance.now() - began) / 1000;
    await restarts(port);
    return seconds;
  } finally {
    await service.stop();
  }
}

/** @returns the number of rows that a worker wrote. */
async function works(storage: Storage, redis: RedisServer, folder: string): Promise<number> {
  const local = join(folder, 'bucket-images');
  await mkdir(local);
  run(program, ['sample', join(local, 'data'), '--train', '20', '--good', '1', '--defective', '1']);
  await upload(storage, join(local, 'data/train/good'), `${bucket}/photos`);
  const worker = new WorkerProcess(redis.url, `${bucket}/detectors`);
  try {
    await worker.said('ready');
    const where = ['--detector', 'sample', '--out', `${bucket}/rows`, '--redis', redis.url];
    run(program, ['enqueue', `${bucket}/photos/`, ...where, '--batch', '8', '--wait']);
    const again = run(program, ['enqueue', `${bucket}/photos/`, ...where, '--batch', '5']);
    if (!again.startsWith('20 images with rows')) throw new Error(`queued twice: ${again}`);
  } finally {
    await worker.stop();
  }
  const names = await storage.names(`${bucket}/rows`);
  const texts = await Promise.all(
    names.map(async (name) => Buffer.from(await storage.read(`${bucket}/rows/${name}`)).toString()),
  );
  const rows = texts.join('').trimEnd().split('\n');
  if (rows.length !== 20 || rows.some((row) => !row.includes('"verdict"')))
    throw new Error(`${rows.length} rows: ${rows[0]}`);
  return rows.length;
}

async function upload(storage: Storage, folder: string, to: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    await storage.write(`${to}/${relative(folder, path)}`, await readFile(path));
  }
}
