/** Photos added to a detector and taken back: the same detector as from all of them at once. */
import { cp, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { drawSample } from '../../src/datasets/index.js';
import { modelsFolder, photosFile, readManifest } from '../../src/detector/index.js';
import { changePhotos, distill } from '../../src/distillation/index.js';
import { encodePng } from '../../src/imaging/index.js';
import { testProvider } from '../support/provider.js';

const settings = { recipe: 'linear', inputSize: 64, device: { provider: testProvider, threads: 1 } } as const;

/** Draws photos of ten parts, two of each. @returns folders of the first eight and of the rest. */
async function photos(t: Test): Promise<{ root: string; first: string; rest: string; all: string }> {
  const root = t.testdir();
  const folders = { first: join(root, 'first'), rest: join(root, 'rest'), all: join(root, 'all') };
  for (const folder of Object.values(folders)) await mkdir(folder);
  for (let index = 0; index < 12; index++) {
    const { pixels, width, height } = drawSample({ seed: 9, index, size: 96 });
    const png = await encodePng(pixels, width, height, 3);
    const name = `${Math.floor(index / 2)}-${index}.png`;
    await writeFile(join(index < 8 ? folders.first : folders.rest, name), png);
    await writeFile(join(folders.all, name), png);
  }
  return { root, ...folders };
}

/** What two detectors from the same photos have in common, to the last bit. */
async function figures(detector: string) {
  const { manifest } = await readManifest(detector);
  const { cloner, terms, calibration, data, selfTest } = manifest;
  return { sha256: cloner.sha256, terms, calibration, data, selfTest: selfTest.sha256 };
}

t.test('photos are added and taken back, number for number', async (t) => {
  const { root, first, rest, all } = await photos(t);
  const [grown, whole, small] = ['grown', 'whole', 'small'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  const groupBy = '^([^-]+)-';
  await distill({ ...settings, groupBy, dataset: all, out: whole });
  await distill({ ...settings, groupBy, dataset: first, out: grown });
  await distill({ ...settings, groupBy, dataset: first, out: small });
  const names = await readdir(rest);
  // The photos that it was made from are not needed.
  await rm(first, { recursive: true });
  const { device } = settings;
  const warnings: string[] = [];
  // Among so few photos some may be doubtful.
  const onWarning = (warning: string): void => {
    if (!warning.includes('doubtful')) warnings.push(warning);
  };
  const manifest = await changePhotos({ detector: grown, dataset: rest, device, onWarning });
  t.match(manifest.data, { images: 12, parts: 6 }, 'the rule for parts holds for new photos');
  t.strictSame(await figures(grown), await figures(whole));
  t.strictSame(warnings, []);
  await changePhotos({ detector: grown, dataset: rest, device, onWarning });
  t.match(warnings, [/4 of the 4 photos are known already/, /there is nothing to add/]);
  t.strictSame(await figures(grown), await figures(whole), 'and count once');
  await changePhotos({ detector: grown, remove: names, device });
  t.strictSame(await figures(grown), await figures(small));
});

t.test('what cannot be added or taken back is refused, and the detector stays', async (t) => {
  const { root, first, rest } = await photos(t);
  const { device } = settings;
  const [one, other] = [join(root, 'one'), join(root, 'elsewhere/other')];
  await distill({ ...settings, dataset: first, out: one });
  await cp(one, other, { recursive: true });
  const before = await figures(one);
  await t.rejects(changePhotos({ detector: other, dataset: rest, device }), {
    message: /the photos of .*other are not kept: there is no .*other\.photos\.tar/,
  });
  await t.rejects(changePhotos({ detector: one, remove: ['x.png'], device }), {
    message: /remove x\.png: no photo has this name; the detector was made from .*\.png/,
  });
  const [name] = (await readdir(first)) as [string];
  await t.rejects(changePhotos({ detector: one, remove: [name], device }), {
    message: /7 images are too few; at least 8 are needed/,
  });
  await t.rejects(changePhotos({ detector: join(modelsFolder, 'sample-paper'), dataset: rest, device }), {
    message: /only a detector with a linear cloner can take photos later/,
  });
  t.strictSame(await figures(one), before);
  await writeFile(photosFile(other), 'no archive');
  await t.rejects(changePhotos({ detector: other, dataset: rest, device }), { message: /is damaged/ });
  await changePhotos({ detector: one, dataset: rest, out: join(root, 'more'), device });
  t.strictSame(await figures(one), before, 'with another folder for the result');
  await rename(photosFile(join(root, 'more')), photosFile(one));
  await t.rejects(changePhotos({ detector: one, dataset: rest, device }), {
    message: /belongs to another version/,
  });
});
