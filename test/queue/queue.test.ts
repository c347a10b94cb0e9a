/** Workers on a real Redis: rows are those of one run, whoever ends meanwhile; what fails is told and can be tried again. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
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

const byImage = (one: Row, other: Row): number => (one.image < other.image ? -1 : 1);

async function rowsIn(folder: string): Promise<Row[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.jsonl')).sort();
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
  await writeFile(list, `# what the line has seen\n${missing}\n\n`);
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
    t.same(JSON.parse(queued.out), { tasks: 6, images: 21, inQueue: 0, done: 0, doneUnreadable: 0 });
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
    t.notMatch(again.err, /failed for good/);
    t.match(again.out, /images in the queue already; .* with rows in .*rows already/);
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

  await t.test('an image keeps its one row, however it is queued again', async (t) => {
    const rough = await rowsIn(rows);
    const whole = await mkd('enqueue', ...score, '--wait', '--batch', '7');
    t.equal(whole.code, 1, 'two have no score');
    t.match(
      whole.out,
      /^21 images with rows in .* already \(--again .*\), 2 of them cannot be read \(--unreadable tries again\)\n$/,
    );
    const photo = join(photos, 'train/good', (await readdir(join(photos, 'train/good')))[0] ?? '');
    await copyFile(photo, join(photos, 'train/new.png'));
    const grown = await mkd('enqueue', ...score, '--wait', '--batch', '7');
    t.match(grown.out, /^1 image queued in 1 task; 21 images with rows .*\n1 image scored, 0 anomalous\n$/);
    // What was missing comes later.
    await copyFile(photo, missing);
    const late = await mkd('enqueue', ...score, '--wait', '--unreadable');
    t.match(late.out, /cannot be read, see "error" in the rows\n$/, 'the other one');
    await rm(missing);
    const part = (await readdir(rows)).find((name) => name.startsWith('part-')) as string;
    await rm(join(rows, part));
    const repaired = JSON.parse((await mkd('enqueue', ...score, '--wait', '--json')).out);
    t.equal(repaired.images + repaired.done, 22);
    t.equal(repaired.tasks, 1);
    const found = await rowsIn(rows);
    const others = (all: Row[]) =>
      all.filter(({ image }) => !/(new|missing)\.png$/.test(image)).sort(byImage);
    t.same(others(found), others(rough));
    t.equal(found.find(({ image }) => image === missing)?.error, undefined);
    t.equal(found.length, 22);
    const again = await mkd('enqueue', join(photos, 'test'), ...score.slice(3), '--again', '--wait');
    t.equal(again.code, 1, 'an image cannot be read');
    t.match(again.out, /; 1 cannot be read, see "error" in the rows\n$/);
    t.equal((await rowsIn(rows)).length, 22);
  });

  await t.test('a task that hangs fails, and ends its worker', async (t) => {
    // A server of buckets that takes connections and says nothing.
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    t.teardown(() => silent.close());
    const { port } = silent.address() as AddressInfo;
    const bucket = {
      AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}`,
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'a',
      AWS_SECRET_ACCESS_KEY: 'b',
    };
    Object.assign(process.env, bucket);
    t.teardown(() => {
      for (const name of Object.keys(bucket)) delete process.env[name];
    });
    const own = ['--queue', 'hangs'];
    const stuck = start('--stuck-after-ms', '1000', ...own);
    const where = ['--detector', 'sample', '--out', join(folder, 'hung'), '--attempts', '1', ...at];
    const { code, err } = await mkd('enqueue', 's3://silent/a.png', ...where, ...own, '--wait');
    t.equal(code, 1);
    t.match(err, /1 image with sample \(score-\w+\): no progress for 1 s/);
    await stuck.said('ending, because a task hangs');
    t.equal(await stuck.stop(), null, 'by a signal: an ordinary exit would wait for the file');
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
    t.equal(code, 1, 'one cannot be read');
    const [name = ''] = (await readdir(out)).filter((file) => file.endsWith('.parquet'));
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
    t.match(err, /failed for good: 3 images with flange .*there is no detector 'flange'/);
    const few = await mkd('enqueue', join(photos, 'test/good'), '--distill', 'few', '--wait', ...at);
    t.equal(few.code, 1);
    t.match(few.err, /few was not made: .*at least 8 are needed/, 'it is not tried again');

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
    t.same(JSON.parse((await mkd('enqueue', '--retry-failed', '--json', ...at)).out), { again: 2 });
    const counts = async () => JSON.parse((await mkd('enqueue', '--status', '--json', ...at)).out);
    let now = await counts();
    while (now.waiting + now.active > 0) {
      await wait(100);
      now = await counts();
    }
    t.equal(now.failed, 1, 'the detector of too few photos');
    t.match(
      (await mkd('enqueue', '--status', ...at)).out,
      /\nfailed: few \(distill-\w+\): .*at least 8 are needed\n$/,
    );
    t.match((await mkd('enqueue', '--forget-failed', ...at)).out, '1 failed task removed\n');
    t.equal((await counts()).failed, 0);
  });

  await t.test('Redis may be gone for a while', async (t) => {
    await redis.kill();
    await worker.said('Redis cannot be reached; no task is taken until it is back');
    const refused = await mkd('enqueue', ...score);
    t.equal(refused.code, 1);
    t.match(refused.err, /Redis cannot be reached at redis:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/);
    await redis.begin();
    t.equal((await mkd('enqueue', ...score, '--again', '--batch', '50')).code, 0);
    t.equal(await worker.stop(), 0);
  });
});

t.test('a Redis that may drop tasks is refused', { skip: noRedis }, async (t) => {
  const redis = await RedisServer.start();
  t.teardown(() => redis.kill());
  execFileSync('redis-cli', ['-p', String(redis.port), 'config', 'set', 'maxmemory-policy', 'volatile-ttl']);
  execFileSync('redis-cli', ['-p', String(redis.port), 'config', 'set', 'maxmemory', '100mb']);
  const { code, err } = await mkd('enqueue', '--status', '--redis', redis.url);
  t.equal(code, 1);
  t.match(err, /may drop tasks: its maxmemory-policy is volatile-ttl; use one with noeviction/);
});

t.test('what is wrong is said', async (t) => {
  const at = ['--redis', 'redis://127.0.0.1:1'];
  for (const [args, message] of [
    [['enqueue', 'a.png'], /required option '--redis <url>' not specified/],
    [['enqueue', 'a.png', '--redis', 'localhost'], /Must be a URL such as redis:\/\/host:6379/],
    [['enqueue', ...at], /nothing to queue/],
    [['enqueue', 'a.png', ...at], /scoring needs --detector/],
    [['enqueue', 'a.png', '--detector', 'sample', ...at], /scoring needs --out/],
    [['enqueue', 'a', 'b', '--distill', 'x', ...at], /--distill takes one folder/],
    [['enqueue', 'a', '--distill', 'x', '--out', 'y', ...at], /--out goes without --distill/],
    [
      ['enqueue', 'a.png', '--detector', 'x', '--out', 'y', '--fit', 'crop', ...at],
      /--fit goes with --distill/,
    ],
    [['enqueue', 'a', '--distill', 'x y', ...at], /'x y' is not a valid detector name/],
    [['enqueue', '--status', '--queue', 'a:b', ...at], /without colons/],
    [['enqueue', '--status', '--wait', ...at], /--wait needs images, or a folder/],
    [['enqueue', '--retry-failed', '--forget-failed', ...at], /do not go together/],
    [
      ['enqueue', 'a', '--distill', 'x', '--group-by', '(', ...at],
      /--group-by \(: Invalid regular expression/,
    ],
    [
      ['enqueue', 'a.png', '--detector', 'x', '--out', 'y', '--status', ...at],
      /--status is about the whole queue/,
    ],
    [['worker', '--rate', '0', ...at], /Must be a number above 0/],
    [['enqueue', 's3://a/b', '--distill', 'x', ...at], /not a bucket/],
    [['enqueue', 'a.png', '--detector', '../x', '--out', 'y', ...at], /is not a valid detector name/],
  ] as const) {
    const { code, err } = await mkd(...args);
    t.equal(code, 2, err);
    t.match(err, message);
  }
  const folder = t.testdir({ empty: {}, 'notes.md': '', 'list.txt': '# nothing\n' });
  const where = ['--detector', 'x', '--out', 'y', ...at];
  for (const [name, message] of [
    ['empty', /empty has no images; wanted JPEG/],
    ['nothing.png', /nothing\.png does not exist/],
    ['notes.md', /notes\.md is neither an image/],
    ['list.txt', /list\.txt names no images/],
  ] as const) {
    const { code, err } = await mkd('enqueue', join(folder, name), ...where);
    t.equal(code, 1);
    t.match(err, message);
  }
  const { code, err } = await mkd('enqueue', join(folder, 'nowhere'), '--distill', 'x', ...at);
  t.equal(code, 1);
  t.match(err, /nowhere is not a folder of photos/);
});
