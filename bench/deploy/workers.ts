/** Ten workers of a queue, of which one is killed every few seconds, and Redis once: the rows are those of one undisturbed run. */
import { copyFile, mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { modelsFolder } from '../../src/detector/index.js';
import { randomStream } from '../../src/random/random.js';
import { RedisServer } from '../../test/support/redis.js';
import { WorkerProcess } from '../../test/support/worker.js';
import { root } from '../peer.js';
import { run } from './tools.js';

const program = join(root, 'dist/src/cli/main.js');
const mostWorkers = 10;
const killEveryMs = 5000;
const distinctImages = 200;

/** @param count images. */
export async function losesWorkers(folder: string, count: number): Promise<string> {
  const [photos, detectors] = [join(folder, 'queued'), join(folder, 'queue-detectors')];
  const drawn = join(folder, 'drawn');
  run(program, ['sample', drawn, '--train', String(distinctImages), '--good', '1', '--defective', '1']);
  await mkdir(photos);
  await mkdir(detectors);
  await symlink(join(modelsFolder, 'sample'), join(detectors, 'sample'));
  const sources = (await readdir(join(drawn, 'train/good'))).map((name) => join(drawn, 'train/good', name));
  for (let at = 0; at < count; at++) {
    await copyFile(
      sources[at % sources.length] as string,
      join(photos, `${String(at).padStart(6, '0')}.png`),
    );
  }
  const store = join(folder, 'queue-redis');
  await mkdir(store);
  const redis = await RedisServer.start(store);
  try {
    const calm = join(folder, 'calm');
    await score(redis, detectors, photos, calm, 2, async () => {});
    const rough = join(folder, 'rough');
    const random = randomStream(1, 'kills');
    let kills = 0;
    await score(redis, detectors, photos, rough, mostWorkers, async (workers, start, ended) => {
      for (let round = 0; !ended(); round++) {
        await wait(killEveryMs);
        if (ended()) break;
        if (round === 3) {
          await redis.kill();
          await wait(2000);
          await redis.begin();
        }
        const chosen = Math.floor(random() * workers.length);
        await workers[chosen]?.stop('SIGKILL');
        workers[chosen] = start();
        kills++;
      }
    });
    const [expected, found] = [await rowsIn(calm), await rowsIn(rough)];
    if (found.length !== count || found.join('\n') !== expected.join('\n')) {
      throw new Error(`${found.length} rows instead of ${expected.length}, or others`);
    }
    return `${count} images, ${mostWorkers} workers, ${kills} of them killed, Redis once: the same ${found.length} rows as without`;
  } finally {
    await redis.kill();
  }
}

type Disturb = (workers: WorkerProcess[], start: () => WorkerProcess, ended: () => boolean) => Promise<void>;

/** Queues all photos, and waits until they are scored. */
async function score(
  redis: RedisServer,
  detectors: string,
  photos: string,
  out: string,
  count: number,
  disturb: Disturb,
): Promise<void> {
  const start = (): WorkerProcess =>
    new WorkerProcess(redis.url, detectors, '--threads', '1', '--log-level', 'warn');
  const at = ['--redis', redis.url];
  run(program, ['enqueue', photos, '--detector', 'sample', '--out', out, '--batch', '50', ...at]);
  const workers = Array.from({ length: count }, start);
  let done = false;
  const disturbed = disturb(workers, start, () => done);
  try {
    for (;;) {
      await wait(1000);
      const status = await statusOf(at);
      if (status.failed > 0) throw new Error(`${status.failed} tasks failed`);
      if (status.known && status.waiting + status.active === 0) break;
    }
  } finally {
    done = true;
    await disturbed;
    await Promise.all(workers.map((worker) => worker.stop('SIGKILL')));
  }
}

interface Status {
  readonly known: boolean;
  readonly waiting: number;
  readonly active: number;
  readonly failed: number;
}

async function statusOf(at: readonly string[]): Promise<Status> {
  try {
    return {
      known: true,
      ...(JSON.parse(run(program, ['enqueue', '--status', '--json', ...at])) as Omit<Status, 'known'>),
    };
  } catch {
    // Redis is gone for a moment.
    return { known: false, waiting: 0, active: 0, failed: 0 };
  }
}

async function rowsIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.jsonl'));
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  return texts.flatMap((text) => text.trimEnd().split('\n')).sort();
}
