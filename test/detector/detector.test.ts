/** The embedded detector: valid, independent of batching, rejected after changes. */
import { appendFile, cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { drawSample } from '../../src/datasets/index.js';
import {
  modelsFolder,
  readDetector,
  repairDetector,
  replaceCalibration,
  type UnverifiedDetector,
} from '../../src/detector/index.js';
import { areaOf, sideOf } from '../../src/imaging/index.js';
import { openDetector } from '../../src/index.js';
import { Device } from '../../src/runtime/index.js';
import { runSelfTest, ScoringEngine } from '../../src/scoring/index.js';
import { copyDetector } from '../support/detectors.js';
import { testProvider } from '../support/provider.js';

const folder = join(modelsFolder, 'sample');
let engine: ScoringEngine;
let detector: UnverifiedDetector;

t.before(async () => {
  engine = await ScoringEngine.open({ provider: testProvider });
  detector = await readDetector(folder);
});
t.teardown(() => engine.close());

function parts(count: number): Uint8Array {
  const size = sideOf(detector.shape.inputSize);
  return Buffer.concat(
    Array.from({ length: count }, (_, index) => drawSample({ seed: 21, index, size }).pixels),
  );
}

t.test('it scores as it did at distillation', async (t) => {
  const report = await runSelfTest(engine, detector);
  t.equal(report.images, 3);
  t.ok(report.scoreDifference <= 1e-4);
});

t.test('a score does not depend on the rest of the batch or on the map', async (t) => {
  const images = parts(3);
  const together = (await engine.run(detector, images, 'gradient')).outputs;
  const third = images.length / 3;
  for (let index = 0; index < 3; index++) {
    const alone = (await engine.run(detector, images.subarray(index * third, (index + 1) * third), 'none'))
      .outputs;
    const [expected, actual] = [together.score[index] as number, alone.score[0] as number];
    t.ok(Math.abs(expected - actual) < 1e-4 * Math.max(1, Math.abs(expected)), `image ${index}`);
  }
  t.equal(together.map?.length, 3 * areaOf(detector.shape.inputSize));
});

t.test('a changed detector is rejected, naming the file', async (t) => {
  const tampered = join(t.testdir(), 'tampered');
  await cp(folder, tampered, { recursive: true });
  const cloner = await readFile(join(tampered, 'cloner.safetensors'));
  cloner[cloner.length - 1] = (cloner[cloner.length - 1] as number) ^ 1;
  await writeFile(join(tampered, 'cloner.safetensors'), cloner);
  await t.rejects(readDetector(tampered), {
    name: 'DetectorError',
    message: /cloner\.safetensors does not match/,
  });
});

t.test('a manifest that does not match the schema is rejected, naming the entry', async (t) => {
  const edited = join(t.testdir(), 'edited');
  await cp(folder, edited, { recursive: true });
  const path = join(edited, 'manifest.json');
  const manifest = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  await writeFile(path, JSON.stringify({ ...manifest, inputSize: 'large' }));
  await t.rejects(readDetector(edited), { message: /\/inputSize must be/ });
  await writeFile(
    path,
    JSON.stringify({ ...manifest, expert: { name: 'other', fingerprint: '0'.repeat(64) } }),
  );
  await t.rejects(readDetector(edited), { message: /expert 'other'.*mkd expert import/s });
});

t.test('a detector of a recipe that is gone says how to make it anew', async (t) => {
  const former = join(t.testdir(), 'former');
  await cp(join(modelsFolder, 'sample-paper'), former, { recursive: true });
  const path = join(former, 'manifest.json');
  const manifest = JSON.parse(await readFile(path, 'utf8')) as { terms: object };
  const terms = { ...manifest.terms, map: { weight: 1, layers: [1, 1, 1] } };
  await writeFile(path, JSON.stringify({ ...manifest, terms }));
  await t.rejects(readDetector(former), {
    name: 'DetectorError',
    message: /recipe 'convolutional', which this version no longer has; distill .* 'mkd distill PHOTOS --out/,
  });
});

t.test('a detector that scores differently fails its self-test', async (t) => {
  const scores = detector.selfTest.scores.map((score) => score * 1.02);
  await t.rejects(runSelfTest(engine, { ...detector, selfTest: { ...detector.selfTest, scores } }), {
    message: /self-test failed: scores differ by 2\.0e-2/,
  });
});

t.test('the library opens, scores and localizes', async (t) => {
  const opened = await openDetector(folder, { provider: testProvider });
  const image = await readFile(new URL('../../../examples/defect-1.png', import.meta.url));
  const result = await opened.localize(image);
  t.match(result, { verdict: 'anomalous' });
  const { score } = await opened.score(image);
  t.ok(Math.abs(score - result.score) <= 1e-5 * score, `${score}, ${result.score}`);
  t.equal((await result.fullMap()).length, 256 * 256);
  await opened.close();
});

t.test('CUDA is used if it is requested and available', async (t) => {
  let device: Device;
  try {
    device = await Device.open({ provider: 'cuda' });
  } catch (error) {
    t.plan(0, `no CUDA on this machine: ${(error as Error).message}`);
    return;
  }
  await t.resolves(runSelfTest(ScoringEngine.on(device), detector));
  await device.close();
});

t.test('the library opens an embedded detector by name and explains wrong arguments', async (t) => {
  const sample = await openDetector('sample', { provider: testProvider });
  t.teardown(() => sample.close());
  t.equal(sample.version, detector.version);
  await t.rejects(sample.score('photo.jpg' as unknown as Uint8Array), {
    message: /bytes of its file.*not a string/,
  });
  const method = 'poem' as 'gradient';
  await t.rejects(sample.localize(new Uint8Array(), { method }), {
    message: /no map by 'poem'; available: discrepancy, gradient, smoothgrad, guided/,
  });
});

t.test('a detector that is replaced can be read at any moment', async (t) => {
  const root = t.testdir();
  const folder = join(root, 'flange');
  const versions = [await copyDetector(folder), await copyDetector(join(root, 'other'), 0.5)];
  const seen = new Set<string>();
  let done = false;
  const reading = (async () => {
    while (!done) seen.add((await readDetector(folder)).version);
  })();
  const { manifest } = await readDetector(join(root, 'other'));
  for (let turn = 0; turn < 3; turn++) {
    await replaceCalibration(join(root, 'other'), manifest.calibration, folder);
    versions.push((await readDetector(folder)).version);
  }
  done = true;
  await reading;
  t.strictSame(
    [...seen].filter((version) => !versions.includes(version)),
    [],
  );
  const files = await readdir(folder);
  t.equal(files.length, 3, files.join(', '));
});

t.test('a damaged detector is repaired from a copy of the same version only', async (t) => {
  const root = t.testdir();
  const folder = join(root, 'flange');
  const version = await copyDetector(folder);
  await copyDetector(join(root, 'copy'));
  await copyDetector(join(root, 'other'), 0.5);
  await appendFile(join(folder, 'cloner.safetensors'), 'x');
  await t.rejects(readDetector(folder), /cloner.safetensors does not match the manifest/);
  await t.rejects(repairDetector(folder, join(root, 'other')), /wanted a copy of the same version/);
  await repairDetector(folder, join(root, 'copy'));
  t.equal((await readDetector(folder)).version, version);
  await rm(join(folder, 'manifest.json'));
  await repairDetector(folder, join(root, 'copy'));
  t.equal((await readDetector(folder)).version, version, 'a manifest that is gone');
});
