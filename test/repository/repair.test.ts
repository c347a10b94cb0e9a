/** Damage on disk, repaired by uploading the same version again. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import t, { type Test } from 'tap';
import { DetectorRepository } from '../../src/repository/index.js';
import { ScoringEngine } from '../../src/scoring/index.js';
import { copyDetector, filesOf, tarOf } from '../support/detectors.js';
import { testProvider } from '../support/provider.js';

let engine: ScoringEngine;
t.before(async () => {
  engine = await ScoringEngine.open({ provider: testProvider });
});
t.teardown(() => engine.close());

const quiet = { info() {}, warn() {}, error() {} };
const open = (detectors: string): Promise<DetectorRepository> =>
  DetectorRepository.open(engine, { detectors, experts: [] }, quiet);

/** Ways to damage a version's folder. */
const damages = {
  'a weight that has changed': async (folder: string): Promise<void> => {
    const path = join(folder, 'cloner.safetensors');
    const bytes = await readFile(path);
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 0xff;
    await writeFile(path, bytes);
  },
  'half of the weights': async (folder: string): Promise<void> => {
    const path = join(folder, 'cloner.safetensors');
    const bytes = await readFile(path);
    await writeFile(path, bytes.subarray(0, bytes.length / 2));
  },
  'a manifest that is no JSON': async (folder: string): Promise<void> => {
    await writeFile(join(folder, 'manifest.json'), '{ "format": ');
  },
};

/** Damages the folder that a version is in, uploads the version, and looks at what serves then. */
async function repaired(t: Test, detectors: string, folder: string, intact: string, damage: string) {
  const files = await filesOf(intact);
  await damages[damage as keyof typeof damages](folder);
  const repository = await open(detectors);
  const refused = repository.status('flange').reasons;
  t.ok(refused.length > 0, `${damage} is noticed at the start`);
  const archive = Readable.from([await tarOf(files)]);
  const { version } = await repository.add('flange', archive, true);
  t.equal(repository.status('flange').current?.version, version);
  t.strictSame(repository.status('flange').reasons, [], 'and forgotten after the repair');
  t.equal((await repository.acquire('flange')).version, version);
  const hidden = (await readdir(detectors)).filter((name) => name.startsWith('.') && name !== '.kept');
  t.strictSame(hidden, [], 'nothing is left beside the detectors');
  const again = await open(detectors);
  t.equal(again.status('flange').current?.version, version, 'a restart finds it whole');
  t.strictSame(again.status('flange').reasons, []);
  return version;
}

for (const damage of Object.keys(damages)) {
  t.test(`${damage}, in a detector that is a folder by itself`, async (t) => {
    const root = t.testdir();
    await copyDetector(join(root, 'detectors/other'), 0.9);
    const version = await copyDetector(join(root, 'detectors/flange'));
    await copyDetector(join(root, 'intact'));
    const folder = join(root, 'detectors/flange');
    t.equal(await repaired(t, join(root, 'detectors'), folder, join(root, 'intact'), damage), version);
  });

  t.test(`${damage}, in a folder of versions`, async (t) => {
    const root = t.testdir();
    const detectors = join(root, 'detectors');
    const first = await copyDetector(join(root, 'first'));
    const second = await copyDetector(join(root, 'second'), 0.5);
    await mkdir(join(detectors, 'flange'), { recursive: true });
    await copyDetector(join(detectors, 'flange', first));
    await copyDetector(join(detectors, 'flange', second), 0.5);
    await writeFile(join(detectors, 'flange/current'), `${second}\n${first}\n`);
    const damaged = join(detectors, 'flange', second);
    t.equal(await repaired(t, detectors, damaged, join(root, 'second'), damage), second);
    const repository = await open(detectors);
    t.equal(await repository.rollBack('flange'), first, 'the other version is as it was');
  });
}
