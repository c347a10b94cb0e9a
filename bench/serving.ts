/**
 * `npm run serving`: images per second from JPEG bytes to scores, compared with LitServe and BentoML, which serve our
 * exported graph with Python's onnxruntime. One client for all three on the same machine; they take turns while the
 * other two are suspended. At 64 x 64, decoding and serving dominate; at 256 x 256, inference. All three use the same
 * batches.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import sharp from 'sharp';
import { modelsFolder, readDetector } from '../src/detector/index.js';
import { onnxFile } from '../src/export/index.js';
import { peerPython, root } from './peer.js';
import { Client, median, multipart, rateOf, startService } from './service.js';

const rounds = 5;
/**
 * Settings that saturate all three at each size: maximum batch, connections, images per turn. Two workers hold two full
 * batches, and two more are queued.
 */
const settings = [
  { size: 64, batch: 8, connections: 32, images: 1536 },
  { size: 256, batch: 4, connections: 16, images: 768 },
] as const;
const peers = join(root, 'bench', 'peers');

const folder = await mkdtemp(join(tmpdir(), 'mkd-serving-'));
const jpeg = await sharp(await readFile(join(root, 'examples/good-1.png')))
  .jpeg({ quality: 90 })
  .toBuffer();
const python = peerPython('serving-requirements.txt');
try {
  for (const setting of settings) await compare(setting);
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function compare({ size, batch, connections, images }: (typeof settings)[number]): Promise<void> {
  const detectors = join(folder, `detectors-${size}`);
  const exported = join(folder, `exported-${size}`);
  await detectorOf(size, join(detectors, 'bench'));
  await exportGraph(join(detectors, 'bench'), exported);
  const small = await sharp(jpeg).resize(size, size).jpeg({ quality: 90 }).toBuffer();
  const own = await startService(
    18_090,
    '--detectors',
    detectors,
    // One worker per core: for throughput, operators should not wait for other threads.
    '--workers',
    String(availableParallelism()),
    '--max-batch-size',
    String(batch),
  );
  const litserve = spawn(python, [join(peers, 'litserve_score.py'), exported, '18091', String(batch)], {
    stdio: ['ignore', 'ignore', 'inherit'],
    detached: true,
  });
  const bentoml = spawn(
    join(dirname(python), 'bentoml'),
    ['serve', 'bentoml_score:Scoring', '--port', '18092', '--host', '127.0.0.1'],
    {
      cwd: peers,
      stdio: ['ignore', 'ignore', 'ignore'],
      detached: true,
      env: {
        ...process.env,
        BENCH_FOLDER: exported,
        BENCH_BATCH: String(batch),
        BENTOML_DO_NOT_TRACK: 'true',
      },
    },
  );
  const servers = [
    {
      name: 'mkd',
      port: 18_090,
      ready: '/health/ready',
      path: '/v1/detectors/bench/score',
      field: 'image',
      process: Number(own.process.pid),
    },
    {
      name: 'LitServe',
      port: 18_091,
      ready: '/health',
      path: '/predict',
      field: 'request',
      // A negative id is a process group.
      process: -Number(litserve.pid),
    },
    {
      name: 'BentoML',
      port: 18_092,
      ready: '/readyz',
      path: '/score',
      field: 'image',
      process: -Number(bentoml.pid),
    },
  ];
  try {
    for (const { port, ready } of servers) {
      const client = new Client(port, 1);
      await client.until(ready);
      client.close();
    }
    const turn = async (
      client: Client,
      { path, name, field }: (typeof servers)[number],
      count: number,
    ): Promise<number> => {
      const { body, headers } = multipart(field, small);
      return rateOf(count, connections, async () => {
        const { status, body: answer } = await client.send('POST', path, body, headers);
        if (status !== 200) throw new Error(`${name} answered ${status}: ${answer.toString()}`);
      });
    };
    /** Measures a turn while the others are suspended: LitServe uses a seventh of a core even when idle. */
    const alone = async (server: (typeof servers)[number]): Promise<number> => {
      const others = servers.filter((other) => other !== server);
      for (const other of others) process.kill(other.process, 'SIGSTOP');
      // Connections of earlier turns may have timed out while the server was suspended.
      const client = new Client(server.port, connections);
      try {
        await turn(client, server, images / 8);
        return await turn(client, server, images);
      } finally {
        client.close();
        for (const other of others) process.kill(other.process, 'SIGCONT');
      }
    };
    // A whole warm-up turn, so that no code is compiled during the measurement.
    for (const server of servers) await alone(server);
    const rates = new Map(servers.map(({ name }) => [name, [] as number[]]));
    for (let round = 0; round < rounds; round++) {
      for (const server of servers) rates.get(server.name)?.push(await alone(server));
    }
    const mkd = rates.get('mkd') ?? [];
    console.log(
      `${size} x ${size}, images per second, medians of ${rounds} turns, ${connections} connections`,
    );
    for (const [name, list] of rates) {
      const ratios = mkd.map((rate, round) => rate / (list[round] as number));
      const beside =
        name === 'mkd'
          ? ''
          : `  ratio ${median(ratios).toFixed(2)} (${ratios.map((ratio) => ratio.toFixed(2)).join(' ')})`;
      console.log(`  ${name.padEnd(8)} ${median(list).toFixed(1)}${beside}`);
    }
  } finally {
    await Promise.all([own.stop(), ended(litserve), ended(bentoml)]);
  }
}

/** Copies the embedded detector, or distills one for another size. */
async function detectorOf(size: number, out: string): Promise<void> {
  await mkdir(dirname(out), { recursive: true });
  if (size === 256) {
    await cp(join(modelsFolder, 'sample'), out, { recursive: true });
    return;
  }
  const data = join(folder, 'sample-data');
  const main = join(root, 'dist/src/cli/main.js');
  for (const args of [
    ['sample', data, '--train', '24'],
    ['distill', data, '--out', out, '--size', String(size)],
  ]) {
    const { status } = spawnSync(main, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    if (status !== 0) throw new Error(`mkd ${args.join(' ')} failed`);
  }
}

/** Writes the graph as one ONNX file with the weights inside. */
async function exportGraph(detectorFolder: string, out: string): Promise<void> {
  const detector = await readDetector(detectorFolder);
  await mkdir(out, { recursive: true });
  await writeFile(join(out, 'model.onnx'), await onnxFile(detector, { input: 'uint8', outputs: ['score'] }));
}

/** Ends a server and its child processes. */
async function ended({ pid, exitCode }: ChildProcess): Promise<void> {
  if (pid === undefined || exitCode !== null) return;
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    try {
      process.kill(-pid, signal);
    } catch {
      return;
    }
    await wait(3000);
  }
}
