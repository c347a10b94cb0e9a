/**
 * `npm run event-loop [-- NAME]`: how long odd requests hold the event loop of a service, measured inside the service by
 * `monitorEventLoopDelay`. Fails if one holds it for more than 50 ms. The service has 1,000 detectors.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { runProgram } from '../src/cli/program.js';
import type { Manifest } from '../src/detector/index.js';
import { root } from './peer.js';
import { Client } from './service.js';

const port = 18_077;
const detectorCount = 1000;
/** More than have series of their own in the metrics, and more than are in memory. */
const usedDetectors = 200;
const mostMs = 50;
const resolutionMs = 1;

/** In the service's process: answers 'read' with the longest delay since the last one. */
async function serve(args: readonly string[]): Promise<void> {
  const monitor = monitorEventLoopDelay({ resolution: resolutionMs });
  monitor.enable();
  process.on('message', () => {
    process.send?.(monitor.max / 1e6 - resolutionMs);
    monitor.reset();
  });
  process.exitCode = await runProgram([...args], process);
}

interface Case {
  readonly name: string;
  /** Whether it is also sent once before anything is measured. */
  readonly isWarmUp?: boolean;
  readonly send: (client: Client) => Promise<unknown>;
}

async function longestDelay(service: ChildProcess): Promise<number> {
  service.send('read');
  const [delay] = (await once(service, 'message')) as [number];
  return delay;
}

/** Returns the folder of many detectors: the embedded one with different thresholds. */
async function manyDetectors(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'mkd-event-loop-'));
  const sample = join(root, 'models/sample');
  const manifest = JSON.parse(await readFile(join(sample, 'manifest.json'), 'utf8')) as Manifest;
  for (let index = 0; index < detectorCount; index++) {
    const target = join(folder, `flange-${index}`);
    await mkdir(target);
    // Links: a thousand copies would take nine gigabytes.
    for (const file of [manifest.cloner.file, manifest.selfTest.file]) {
      await symlink(join(sample, file), join(target, file));
    }
    const { calibration } = manifest;
    const threshold = calibration.threshold + index / 1e4;
    const changed = { ...manifest, calibration: { ...calibration, threshold } };
    await writeFile(join(target, 'manifest.json'), JSON.stringify(changed));
  }
  return folder;
}

const json = { 'content-type': 'application/json' };

async function cases(): Promise<Case[]> {
  const example = await readFile(join(root, 'examples/defect-1.png'));
  const noise = Uint8Array.from({ length: 1024 * 1024 * 3 }, (_, at) => (at * 2_654_435_761) >>> 24);
  const noisy = await sharp(noise, { raw: { width: 1024, height: 1024, channels: 3 } })
    .png()
    .toBuffer();
  const deep = await sharp(
    Uint16Array.from({ length: 7000 * 7000 }, (_, at) => at),
    {
      raw: { width: 7000, height: 7000, channels: 1 },
    },
  )
    .toColourspace('grey16')
    .tiff({ compression: 'lzw' })
    .toBuffer();
  const large = await sharp(noise, { raw: { width: 1024, height: 1024, channels: 3 } })
    .resize(7000, 7000)
    .jpeg()
    .toBuffer();
  const pixels = (count: number, side: number): string =>
    `{"inputs":[{"name":"image","datatype":"UINT8","shape":[${count},${side},${side},3],"data":[${'1,'.repeat(count * side * side * 3 - 1)}1]}]}`;
  const encoded = (outputs: string): Buffer =>
    Buffer.from(
      JSON.stringify({
        inputs: [
          {
            name: 'image',
            datatype: 'BYTES',
            shape: [32],
            data: Array.from({ length: 32 }, () => example.toString('base64')),
          },
        ],
        outputs: [{ name: outputs }],
      }),
    );
  const post =
    (path: string, body: Uint8Array, headers: Record<string, string>) => async (client: Client) => {
      const answer = await client.send('POST', path, body, headers);
      return answer.status;
    };
  const get = (path: string) => async (client: Client) => (await client.send('GET', path)).status;
  const infer = '/v2/models/flange-0/infer';
  const score = '/v1/detectors/flange-0/score';
  const localize = '/v1/detectors/flange-0/localize';
  const form = (count: number): Buffer =>
    Buffer.concat([
      ...Array.from({ length: count }, () => [
        Buffer.from(
          '--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n',
        ),
        example,
        Buffer.from('\r\n'),
      ]).flat(),
      Buffer.from('--b--\r\n'),
    ]);
  const multipart = { 'content-type': 'multipart/form-data; boundary=b' };
  const binary = Buffer.alloc(127 * 2 ** 20, 1);
  const side = Math.floor(Math.sqrt(binary.length / 32 / 3));
  const head = Buffer.from(
    JSON.stringify({
      inputs: [
        {
          name: 'image',
          datatype: 'UINT8',
          shape: [32, side, side, 3],
          parameters: { binary_data_size: 32 * side * side * 3 },
        },
      ],
    }),
  );
  const raw = Buffer.concat([head, binary.subarray(0, 32 * side * side * 3)]);
  return [
    { name: 'V2, 128 MiB of JSON numbers', send: post(infer, Buffer.from(pixels(32, 835)), json) },
    {
      name: 'V2, 128 MiB of binary pixels',
      send: post(infer, raw, { 'inference-header-content-length': String(head.length) }),
    },
    { name: 'V2, 32 images as base64', send: post(infer, encoded('score'), json) },
    { name: 'V2, 32 maps as JSON', send: post(infer, encoded('map'), json) },
    { name: '32 images as multipart', send: post(score, form(32), multipart) },
    {
      name: 'regions of a noisy map',
      isWarmUp: true,
      send: post(`${localize}?as=json&threshold=-100`, noisy, { 'content-type': 'image/png' }),
    },
    {
      name: 'SmoothGrad',
      send: post(`${localize}?as=json&method=smoothgrad`, noisy, { 'content-type': 'image/png' }),
    },
    {
      name: 'an overlay of 49 megapixels',
      send: post(`${localize}?as=overlay`, large, { 'content-type': 'image/jpeg' }),
    },
    {
      name: 'a full map of 49 megapixels',
      send: post(`${localize}?as=map`, large, { 'content-type': 'image/jpeg' }),
    },
    {
      name: 'a TIFF of 49 megapixels with 16 bits',
      send: post(score, deep, { 'content-type': 'image/tiff' }),
    },
    { name: 'a list of 1,000 detectors', send: get('/v1/detectors') },
    { name: 'the V2 index of 1,000 detectors', send: post('/v2/repository/index', Buffer.alloc(0), {}) },
    {
      name: `first use of ${usedDetectors} detectors`,
      send: async (client) => {
        for (let index = 0; index < usedDetectors; index += 8) {
          await Promise.all(
            Array.from({ length: 8 }, (_, at) =>
              client.send('POST', `/v1/detectors/flange-${index + at}/score`, example, {
                'content-type': 'image/png',
              }),
            ),
          );
        }
        return 200;
      },
    },
    { name: 'a scrape of the metrics after that', send: get('/metrics') },
    { name: 'statistics of 1,000 detectors', send: get('/v2/models/stats') },
  ];
}

/** @param only part of the names of the cases to run. */
async function measure(only: string | undefined): Promise<void> {
  const folder = await manyDetectors();
  const service = fork(
    fileURLToPath(import.meta.url),
    ['serve', '--detectors', folder, '--port', String(port), '--log-level', 'warn', '--watch-every-ms', '0'],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
  );
  const client = new Client(port, 16);
  try {
    for (let tries = 0; ; tries++) {
      const ready = await client.send('GET', '/health/ready').catch(() => undefined);
      if (ready?.status === 200) break;
      if (tries > 600) throw new Error('the service does not become ready');
      await wait(200);
    }
    const list = (await cases()).filter(({ name }) => only === undefined || name.includes(only));
    let failed = false;
    // Code that has never run is compiled first.
    for (const { send } of list.filter((one) => one.isWarmUp)) await send(client);
    for (const { name, send } of list) {
      await wait(300);
      await longestDelay(service);
      const began = performance.now();
      const status = await send(client);
      const seconds = (performance.now() - began) / 1000;
      await wait(50);
      const delay = await longestDelay(service);
      failed ||= delay > mostMs;
      console.log(
        `${name.padEnd(42)} ${String(status).padEnd(5)} ${seconds.toFixed(2).padStart(7)} s  longest hold ${delay.toFixed(0)} ms${delay > mostMs ? ` (more than ${mostMs})` : ''}`,
      );
    }
    if (failed) process.exitCode = 1;
  } finally {
    service.kill('SIGTERM');
    await once(service, 'exit');
    await rm(folder, { recursive: true, force: true });
  }
}

const [, , ...args] = process.argv;
if (args[0] === 'serve') await serve(args);
else await measure(args[0]);
process.disconnect?.();
