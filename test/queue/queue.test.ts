/** Workers on a real Redis: rows are those of one run, whoever ends meanwhile; what fails is told and can be tried again. */
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parquetReadObjects } from 'hyparquet';
import t from 'tap';
import { writeSample } from '../../src/datasets/index.js';
import { modelsFolder } from '../../src/detector/index.js';
import { openDetector } from '../../src/index.js';
import { freePort } from '../support/free-port.js';
import { noRedis, RedisServer } from '../support/redis.js';
import { runMkd as mkd } from '../support/run-mkd.js';
import { WorkerProcess } from '../support/worker.js';

interface Row {
  readonly image: string;
  readonly detector: string;
  readonly version: string;
  readonly score?: number;
  readonly verdict?: string;
  readonly error?: string;
}

async function rowsIn(folder: string): Promise<Row[]> {
  const names = (await readdir(folder)).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  return texts.flatMap((text) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Row),
  );
}

t.test('a queue of images and detectors', { skip: noRedis }, async (t) => {
  const folder = t.testdir();
  const [photos, detectors, rows] = ['photos', 'detectors', 'rows'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await writeSample(photos, { seed: 3, train: 12, good: 2, defective: 1 });
  await mkdir(detectors);
  await symlink(join(modelsFolder, 'sample'), join(detectors, 'sample'));
  await writeFile(join(photos, 'test/good/broken.png'), 'no image');
  const list = join(folder, 'list.txt');
  const missing = join(folder, 'missing.png');
  await writeFile(list, `${missing}\n`);
  const redis = await RedisServer.start();
  const at = ['--redis', redis.url];
  const workers: WorkerProcess[] = [];
  /** The one that does most of the work. */
  let worker: WorkerProcess;
  const start = (...flags: string[]): WorkerProcess => {
    const started = new WorkerProcess(redis.url, detectors, '--lost-after-ms', '1500', ...flags);
    workers.push(started);
    return started;
  };
  t.teardown(async () => {
    for (const started of workers) await started.stop('SIGKILL');
    await redis.kill();
  });
  const score = [
    join(photos, 'train'),
    join(photos, 'test'),
    list,
    '--detector',
    'sample',
    '--out',
    rows,
    '--batch',
    '4',
    ...at,
  ];

  await t.test('one worker is killed, another ends in order, a third does the rest', async (t) => {
    const queued = await mkd('enqueue', ...score, '--json');
    t.same(JSON.parse(queued.out), { tasks: 6, images: 21 });
    const first = start();
    await first.said('task done');
    await first.stop('SIGKILL');
    const second = start();
    await second.said('task done');
    t.equal(await second.stop(), 0);
    t.equal(second.lines.at(-1)?.msg, 'stopped');
    const port = await freePort();
    worker = start('--operations-port', String(port));
    await worker.said('ready');
    t.equal((await fetch(`http://127.0.0.1:${port}/health/ready`)).status, 200);
    const again = await mkd('enqueue', ...score, '--wait');
    t.equal(again.code, 0, again.err);
    t.match(
      await (await fetch(`http://127.0.0.1:${port}/metrics`)).text(),
      /mkd_worker_tasks_total\{[^}]*done"\} [1-9]/,
    );

    const found = await rowsIn(rows);
    t.equal(found.length, 21, 'one row for each image, though the list was queued twice');
    const detector = await openDetector('sample', { provider: 'cpu' });
    t.teardown(() => detector.close());
    for (const row of found) {
      t.equal(row.version, detector.version);
      if (row.error === undefined) {
        const { score, verdict } = await detector.score(await readFile(row.image));
        t.same([row.score, row.verdict], [score, verdict], row.image);
      }
    }
    const errors = found.filter(({ error }) => error !== undefined);
    t.strictSame(errors.map(({ image }) => image).sort(), [missing, join(photos, 'test/good/broken.png')]);
    t.match(errors.map(({ error }) => error).join(), /missing\.png does not exist/);
    t.match((await mkd('enqueue', '--status', ...at)).out, '0 wait, 0 in work, 6 done, 0 failed\n');
  });

  await t.test('Parquet has the same rows', async (t) => {
    const out = join(folder, 'parquet');
    const { code } = await mkd(
      'enqueue',
      join(photos, 'test/good'),
      '--detector',
      'sample',
      '--out',
      out,
      '--format',
      'parquet',
      '--wait',
      ...at,
    );
    t.equal(code, 0);
    const [name = ''] = await readdir(out);
    const bytes = await readFile(join(out, name));
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
    const columns = (await parquetReadObjects({ file })) as unknown as (Row & { layers: string })[];
    const lines = (await rowsIn(rows)).filter(({ image }) => image.includes('test/good'));
    t.equal(columns.length, 3);
    for (const row of columns) {
      const line = lines.find(({ image }) => image === row.image);
      t.equal(row.score ?? undefined, line?.score);
      t.equal(row.error ?? undefined, line?.error);
    }
    t.match(JSON.parse(columns.find(({ score }) => score)?.layers ?? ''), [{ contribution: Number }]);
  });

  await t.test('a task that fails is a dead letter until it is queued again', async (t) => {
    const queued = mkd(
      'enqueue',
      join(photos, 'test/good'),
      '--detector',
      'flange',
      '--out',
      rows,
      '--attempts',
      '2',
      '--wait',
      ...at,
    );
    const told = await worker.said('task failed; it is tried again');
    t.match(told.reason, /there is no detector 'flange'|unknown detector 'flange'|'flange'/);
    await worker.said('task failed for good; mkd enqueue --retry-failed queues it again');
    const { code, err } = await queued;
    t.equal(code, 1);
    t.match(err, /failed for good: .*flange/);

    const distilled = await mkd(
      'enqueue',
      join(photos, 'train/good'),
      '--distill',
      'flange',
      '--wait',
      ...at,
    );
    t.equal(distilled.code, 0, distilled.err);
    t.ok((await readdir(detectors)).includes('flange'));
    t.same(JSON.parse((await mkd('enqueue', '--retry-failed', '--json', ...at)).out), { again: 1 });
    const counts = async () => JSON.parse((await mkd('enqueue', '--status', '--json', ...at)).out);
    let now = await counts();
    while (now.waiting + now.active > 0) {
      await wait(100);
      now = await counts();
    }
    t.equal(now.failed, 0);
  });

  await t.test('Redis may be gone for a while', async (t) => {
    await redis.kill();
    await worker.said('Redis cannot be reached; no task is taken until it is back');
    const refused = await mkd('enqueue', ...score);
    t.equal(refused.code, 1);
    t.match(refused.err, /Redis cannot be reached at redis:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/);
    await redis.begin();
    t.equal((await mkd('enqueue', ...score, '--wait')).code, 0);
    t.equal(await worker.stop(), 0);
  });
});

t.test('what is wrong is said', async (t) => {
  const at = ['--redis', 'redis://127.0.0.1:1'];
  for (const [args, message] of [
    [['enqueue', 'a.png'], /required option '--redis <url>' not specified/],
    [['enqueue', 'a.png', '--redis', 'localhost'], /Must be redis:\/\/host:6379/],
    [['enqueue', ...at], /nothing to queue/],
    [['enqueue', 'a.png', ...at], /scoring needs --detector/],
    [['enqueue', 'a.png', '--detector', 'sample', ...at], /scoring needs --out/],
    [['enqueue', 'a', 'b', '--distill', 'x', ...at], /--distill takes one folder/],
    [['enqueue', 'a', '--distill', 'x', '--out', 'y', ...at], /leave out --detector and --out/],
  ] as const) {
    const { code, err } = await mkd(...args);
    t.equal(code, 2, err);
    t.match(err, message);
  }
  const empty = t.testdir({ empty: {} });
  const { code, err } = await mkd('enqueue', join(empty, 'empty'), '--detector', 'x', '--out', 'y', ...at);
  t.equal(code, 1);
  t.match(err, /empty has no images; wanted JPEG/);
});
