/** Detectors that are added and removed, with the embedded detector on the real runtime. */
import { appendFile, mkdir, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { pack } from 'tar-stream';
import { readVersions } from '../../src/detector/index.js';
import { areaOf } from '../../src/imaging/index.js';
import {
  DetectorRepository,
  RepositoryError,
  verifyUnused,
  watchRepository,
} from '../../src/repository/index.js';
import { ScoringEngine } from '../../src/scoring/index.js';
import { copyDetector, filesOf, tarOf } from '../support/detectors.js';
import { testProvider } from '../support/provider.js';

let engine: ScoringEngine;
t.before(async () => {
  engine = await ScoringEngine.open({ provider: testProvider });
});
t.teardown(() => engine.close());

const quiet = { info() {}, warn() {}, error() {} };
const open = (detectors: string, maxLoaded?: number): Promise<DetectorRepository> =>
  DetectorRepository.open(engine, { detectors, experts: [], ...(maxLoaded ? { maxLoaded } : {}) }, quiet);
const current = (repository: DetectorRepository, name = 'flange'): string | undefined =>
  repository.status(name).current?.version;
const upload = async (repository: DetectorRepository, folder: string, activate = true) =>
  repository.add('flange', Readable.from([await tarOf(await filesOf(folder))]), activate);

/** Returns the error of a refused attempt; undefined if it succeeds. */
const refusalOf = (attempt: Promise<unknown>): Promise<RepositoryError | undefined> =>
  attempt.then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof RepositoryError) return error;
      throw error;
    },
  );

t.test('an upload serves next to the previous version, and can be rolled back', async (t) => {
  const root = t.testdir();
  const first = await copyDetector(join(root, 'detectors/flange'));
  const second = await copyDetector(join(root, 'new'), 0.5);
  const repository = await open(join(root, 'detectors'));
  t.equal(current(repository), first);

  t.strictSame(await upload(repository, join(root, 'new')), { version: second, added: true });
  t.equal(current(repository), second);
  t.equal(
    (await repository.acquire('flange', first)).version,
    first,
    'the first version is still available by name',
  );
  t.strictSame(
    await upload(repository, join(root, 'new')),
    { version: second, added: false },
    'uploaded twice',
  );

  t.equal(await repository.rollBack('flange'), first);
  t.equal((await repository.acquire('flange')).version, first);
  await repository.activate('flange', second);
  t.match(await refusalOf(repository.retire('flange', second)), { kind: 'conflict' }, 'not while it serves');
  await repository.retire('flange', first);
  t.match(await refusalOf(repository.acquire('flange', first)), { kind: 'unknown-version', message: second });
  t.match(await refusalOf(repository.rollBack('flange')), { kind: 'conflict' });

  const again = await open(join(root, 'detectors'));
  t.equal(current(again), second, 'a restart keeps the chosen version');
  await again.retire('flange');
  t.equal(again.size, 0);
  t.match(await refusalOf(again.acquire('flange')), { kind: 'unknown-detector', message: 'available: none' });
});

t.test('a version can be uploaded without serving yet', async (t) => {
  const root = t.testdir();
  const first = await copyDetector(join(root, 'detectors/flange'));
  await copyDetector(join(root, 'new'), 0.5);
  const repository = await open(join(root, 'detectors'));
  const { version } = await upload(repository, join(root, 'new'), false);
  t.equal(current(repository), first);
  t.match(repository.status('flange').versions, [
    { version: first, state: 'verified', current: true },
    { version, state: 'verified', current: false },
  ]);
  await repository.activate('flange', version);
  t.equal(current(repository), version);
});

t.test('a rollback activates only versions that were current before', async (t) => {
  const root = t.testdir();
  const detectors = join(root, 'detectors');
  const a = await copyDetector(join(detectors, 'flange'));
  const b = await copyDetector(join(root, 'b'), 0.2);
  const c = await copyDetector(join(root, 'c'), 0.3);
  await copyDetector(join(root, 'never'), 0.4);
  const repository = await open(detectors);
  const refused = async (): Promise<void> => {
    t.match(await refusalOf(repository.rollBack('flange')), {
      kind: 'conflict',
      message: /none was current/,
    });
  };
  await refused();
  await upload(repository, join(root, 'never'), false);
  await refused();
  t.equal(current(repository), a, 'a version that was never activated is not a target of a rollback');
  await upload(repository, join(root, 'b'));
  await upload(repository, join(root, 'c'));
  t.equal(current(repository), c);
  t.equal(await repository.rollBack('flange'), b);
  t.equal(await repository.rollBack('flange'), a);
  await refused();
  t.equal(current(await open(detectors)), a, 'a restart keeps the version');

  await repository.activate('flange', b);
  await repository.activate('flange', c);
  await repository.retire('flange', b);
  t.equal(await repository.rollBack('flange'), a, 'a deleted version is skipped');
});

t.test('the checkpoint of an interrupted distillation is not a detector', async (t) => {
  const root = t.testdir({ 'detectors/flange.checkpoint': { 'state.safetensors': '' } });
  const version = await copyDetector(join(root, 'detectors/flange'));
  const repository = await open(join(root, 'detectors'));
  t.strictSame(
    repository.list().map(({ name }) => name),
    ['flange'],
  );
  t.equal(repository.refused, 0);
  t.equal(current(repository), version);
});

t.test('an empty folder waits for the first upload', async (t) => {
  const root = t.testdir({ detectors: {} });
  const version = await copyDetector(join(root, 'new'));
  const repository = await open(join(root, 'detectors'));
  t.equal(repository.size, 0);
  t.match(await upload(repository, join(root, 'new')), { version, added: true });
  t.equal(current(repository), version);
});

t.test('a folder that cannot hold detectors is refused with a reason', async (t) => {
  const root = t.testdir({ 'detectors/flange': { 'cloner.safetensors': '' } });
  await copyDetector(join(root, 'one/flange'));
  const said = async (folder: string): Promise<string> => {
    const error = await open(join(root, folder)).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    return (error as Error).message;
  };
  t.match(await said('nowhere'), /nowhere does not exist/);
  t.match(await said('one/flange'), /one\/flange is a detector; pass the folder that contains it/);
  t.match(await said('detectors'), /no detector to serve in .*flange has no manifest.json/);
});

t.test('a refused upload leaves no files behind, and the old version still serves', async (t) => {
  const root = t.testdir();
  const detectors = join(root, 'detectors');
  const first = await copyDetector(join(detectors, 'flange'));
  await copyDetector(join(root, 'new'), 0.5);
  const repository = await open(detectors);
  const files = await filesOf(join(root, 'new'));
  const cloner = Uint8Array.from(files['cloner.safetensors'] as Uint8Array);
  cloner.set([0xff], cloner.length - 1);
  const link = pack();
  link.entry({ name: 'manifest.json', type: 'symlink', linkname: '/etc/passwd' });
  link.finalize();
  const attempts: readonly (readonly [string, Readable, object])[] = [
    ['nothing', Readable.from([]), { kind: 'refused-detector', message: /lacks manifest.json/ }],
    ['no archive', Readable.from([Buffer.alloc(4096, 'x')]), { kind: 'refused-detector' }],
    ['a link', Readable.from(link), { kind: 'refused-detector', message: /symlink/ }],
    [
      'a file from elsewhere',
      Readable.from([await tarOf({ ...files, '../../evil.sh': Buffer.from('x') })]),
      { kind: 'refused-detector', message: /evil/ },
    ],
    [
      'a truncated archive',
      Readable.from([(await tarOf(files)).subarray(0, 600_000)]),
      { kind: 'refused-detector' },
    ],
    [
      'a damaged gzip',
      Readable.from([gzipSync(await tarOf(files)).subarray(0, 600_000)]),
      { kind: 'refused-detector' },
    ],
    [
      'a cloner that does not match the manifest',
      Readable.from([await tarOf({ ...files, 'cloner.safetensors': cloner })]),
      { kind: 'refused-detector', message: /SHA-256/ },
    ],
    [
      'a zip bomb',
      Readable.from([gzipSync(await tarOf({ 'cloner.safetensors': Buffer.alloc(80 * 2 ** 20) }))]),
      { kind: 'too-many-bytes' },
    ],
  ];
  for (const [what, archive, refusal] of attempts) {
    t.match(await refusalOf(repository.add('flange', archive, true)), refusal, what);
  }
  t.match(await refusalOf(repository.add('../flange', Readable.from([]), true)), {
    kind: 'refused-detector',
  });
  t.equal((await repository.acquire('flange')).version, first);
  t.strictSame(await readdir(detectors), ['flange']);
});

t.test(
  'an archive as macOS writes it is accepted: hidden files beside the others are left out',
  async (t) => {
    const root = t.testdir({ detectors: {} });
    const version = await copyDetector(join(root, 'new'));
    const repository = await open(join(root, 'detectors'));
    const files = await filesOf(join(root, 'new'));
    const hidden = Object.keys(files).map((name) => [`./._${name}`, Buffer.from('AppleDouble')]);
    const archive = await tarOf({
      './._flange': Buffer.from('AppleDouble'),
      './.DS_Store': Buffer.from('Bud1'),
      ...Object.fromEntries(hidden),
      ...Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`./${name}`, bytes])),
    });
    t.match(await repository.add('flange', Readable.from([archive]), true), { version, added: true });
  },
);

t.test('an archive may be gzipped, with or without a folder around its files', async (t) => {
  const root = t.testdir();
  await copyDetector(join(root, 'detectors/flange'));
  const second = await copyDetector(join(root, 'new'), 0.5);
  const repository = await open(join(root, 'detectors'));
  const files = Object.entries(await filesOf(join(root, 'new'))).map(([name, bytes]) => [
    `./flange/${name}`,
    bytes,
  ]);
  const archive = gzipSync(await tarOf(Object.fromEntries(files)));
  t.match(await repository.add('other', Readable.from([archive]), true), { version: second });
  t.equal(current(repository, 'other'), second);
});

t.test('least recently used detectors leave memory and are loaded again on use', async (t) => {
  const root = t.testdir();
  const names = ['a', 'b', 'c'];
  for (const [index, name] of names.entries()) await copyDetector(join(root, name), index / 10);
  const repository = await open(root, 1);
  t.equal(repository.size, 3);
  t.match(repository.list(), [{}, { versions: [{ state: 'unverified', loaded: false }] }, {}]);
  const scores = new Set<number | undefined>();
  for (const name of [...names, ...names]) {
    const detector = await repository.acquire(name);
    t.equal(repository.loaded, 1);
    const image = new Uint8Array(areaOf(detector.shape.inputSize) * 3).fill(128);
    scores.add((await engine.run(detector, image, 'none')).outputs.score[0]);
  }
  t.equal(scores.size, 1, 'the same cloner, the same score');
  t.match(repository.list(), [{}, { versions: [{ state: 'verified', loaded: false }] }, {}]);
});

t.test('unused detectors are verified while the service is idle', async (t) => {
  const root = t.testdir();
  const names = ['a', 'b', 'c', 'd'];
  for (const [index, name] of names.entries()) await copyDetector(join(root, name), index / 10);
  await appendFile(join(root, 'c/cloner.safetensors'), 'x');
  const repository = await open(root, 1);
  t.strictSame(repository.unverified(), ['b', 'c', 'd'], 'one is in memory and verified');
  t.equal(repository.refused, 0);
  let [idle, asked] = [false, 0];
  const isIdle = (): boolean => {
    asked++;
    return idle;
  };
  t.teardown(verifyUnused(repository, isIdle, quiet));
  for (let tries = 0; tries < 500 && asked < 3; tries++) await wait(20);
  t.equal(repository.unverified().length, 3, 'nothing is verified while the service is busy');
  idle = true;
  for (let tries = 0; tries < 500 && repository.unverified().length > 0; tries++) await wait(20);
  t.strictSame(repository.unverified(), []);
  t.equal(repository.loaded, 1, 'verified detectors are not kept in memory');
  t.match(repository.list(), [
    { versions: [{ state: 'verified', loaded: true }] },
    { versions: [{ state: 'verified', loaded: false }] },
    { reasons: [/cloner.safetensors does not match the manifest/] },
    { versions: [{ state: 'verified', loaded: false }] },
  ]);
  t.equal(repository.refused, 1);
});

t.test('an unloaded detector does not serve until it is loaded again', async (t) => {
  const root = t.testdir();
  await copyDetector(join(root, 'flange'));
  const repository = await open(root);
  repository.unload('flange');
  t.equal(repository.loaded, 0);
  t.match(await refusalOf(repository.acquire('flange')), { kind: 'unknown-detector', message: /unloaded/ });
  await repository.load('flange');
  t.ok(await repository.acquire('flange'));
});

t.test(
  'a detector copied into the watched folder serves once it passes, and a removed one is retired',
  async (t) => {
    const root = t.testdir();
    await copyDetector(join(root, 'flange'));
    const repository = await open(root);
    t.teardown(watchRepository(repository, 20, quiet));
    const until = async (what: string, condition: () => boolean): Promise<void> => {
      for (let tries = 0; tries < 500 && !condition(); tries++) await wait(20);
      t.ok(condition(), what);
    };
    const names = (): string[] => repository.list().map(({ name }) => name);

    await copyDetector(join(root, 'bracket'), 0.1);
    await until('a new detector', () => names().includes('bracket'));

    const second = await copyDetector(join(root, 'flange'), 0.5);
    await until('a replaced version', () => current(repository) === second);

    await appendFile(join(root, 'bracket/manifest.json'), 'x');
    await until('a damaged one is refused', () => repository.status('bracket').reasons.length > 0);
    t.ok(await repository.acquire('bracket'), 'the version in memory still serves');

    const third = await copyDetector(join(root, 'gear/2'), 0.2);
    const other = await copyDetector(join(root, 'gear/1'), 0.3);
    await writeFile(join(root, 'gear/current'), third);
    await until(
      'a folder of versions',
      () => names().includes('gear') && current(repository, 'gear') === third,
    );
    await writeFile(join(root, 'gear/current'), '1\n');
    await until('another current version, by its folder', () => current(repository, 'gear') === other);
    await writeFile(join(root, 'gear/current'), 'typo');
    const saidOf = (name: string): string => repository.status(name).reasons.join();
    await until('a current version that does not exist', () =>
      saidOf('gear').includes("names 'typo', which is not a version here"),
    );
    t.equal(current(repository, 'gear'), other, 'the serving version does not change');

    await appendFile(join(root, 'flange/cloner.safetensors'), 'x');
    await until('a damaged cloner with an unchanged manifest', () =>
      saidOf('flange').includes('still serves from memory'),
    );
    t.equal((await repository.acquire('flange')).version, second);

    await mkdir(join(root, 'washer'));
    await writeFile(join(root, 'washer/notes.txt'), '');
    await until('a folder that is not a detector', () => names().includes('washer'));
    t.match(saidOf('washer'), /has no manifest.json/);

    await rm(join(root, 'bracket'), { recursive: true });
    await until('a removed detector', () => !names().includes('bracket'));
  },
);

t.test('removing a detector from the folder is not an error', async (t) => {
  const root = t.testdir();
  await copyDetector(join(root, 'flange'));
  const errors: object[] = [];
  const log = { ...quiet, error: (details: object) => errors.push(details) };
  const repository = await DetectorRepository.open(engine, { detectors: root, experts: [] }, log);
  await rm(join(root, 'flange'), { recursive: true });
  await repository.refresh('flange');
  t.strictSame(repository.list(), []);
  t.strictSame(errors, []);
});

t.test('what an interrupted upload has left is removed at the next start', async (t) => {
  const root = t.testdir();
  const version = await copyDetector(join(root, 'flange'));
  await mkdir(join(root, '.incoming-1'));
  await mkdir(join(root, 'flange/.incoming-2'));
  const [now, old] = [new Date(), new Date(Date.now() - 2 * 3_600_000)];
  for (const left of ['.incoming-1', 'flange/.incoming-2']) await utimes(join(root, left), now, old);
  await mkdir(join(root, '.incoming-3'));
  const repository = await open(root);
  t.equal(current(repository), version);
  t.strictSame((await readdir(root)).sort(), ['.incoming-3', 'flange'], 'a young one may be written to');
  t.notOk((await readdir(join(root, 'flange'))).some((name) => name.startsWith('.')));
});

t.test('a version that is a link to a folder elsewhere serves; removing it leaves that folder', async (t) => {
  const root = t.testdir();
  const first = await copyDetector(join(root, 'store/one'));
  const second = await copyDetector(join(root, 'store/two'), 0.5);
  await mkdir(join(root, 'detectors/flange'), { recursive: true });
  for (const name of ['one', 'two']) {
    await symlink(join(root, 'store', name), join(root, 'detectors/flange', name));
  }
  const repository = await open(join(root, 'detectors'));
  await repository.activate('flange', first);
  t.equal((await repository.acquire('flange')).version, first);
  await repository.retire('flange', second);
  t.strictSame((await readdir(join(root, 'detectors/flange'))).sort(), ['current', 'one']);
  t.ok((await readdir(join(root, 'store/two'))).includes('manifest.json'));
});

t.test('a link to a folder that is gone is told', async (t) => {
  const root = t.testdir();
  await copyDetector(join(root, 'flange'));
  await symlink(join(root, 'moved'), join(root, 'gasket'));
  const repository = await open(root);
  t.strictSame(repository.status('gasket').reasons, [
    `gasket is a link to ${join(root, 'moved')}, which does not exist`.replaceAll(`${root}/`, ''),
  ]);
  t.equal(repository.refused, 1);
});

t.test('an upload beside a single version leaves no moment without a detector', async (t) => {
  const root = t.testdir();
  const first = await copyDetector(join(root, 'detectors/flange'));
  const second = await copyDetector(join(root, 'second'), 0.5);
  const repository = await open(join(root, 'detectors'));
  const seen = new Set<string | undefined>();
  let done = false;
  const looking = (async () => {
    while (!done) seen.add((await readVersions(join(root, 'detectors'), 'flange'))?.versions[0]?.version);
  })();
  const { version } = await upload(repository, join(root, 'second'));
  done = true;
  await looking;
  t.equal(version, second);
  t.strictSame(
    [...seen].filter((found) => found !== first && found !== second),
    [],
  );
  t.equal(await repository.rollBack('flange'), first);
});
