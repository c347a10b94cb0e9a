/** Data sets on disk, and the sample product. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import {
  DatasetError,
  drawSample,
  sampleDefects,
  testImages,
  trainingImages,
  writeSample,
} from '../../src/datasets/index.js';
import { sameBytes } from '../support/same-bytes.js';

t.test('the sample product is written as an MVTec tree and read back', async (t) => {
  const root = t.testdir();
  const written = await writeSample(root, { seed: 3, train: 3, good: 2, defective: 1 });
  t.equal(written, 3 + 2 + sampleDefects.length);
  t.equal((await trainingImages(root)).length, 3);
  const images = await testImages({ root });
  t.equal(images.filter(({ anomalous }) => !anomalous).length, 2);
  t.strictSame(
    new Set(images.filter(({ anomalous }) => anomalous).map(({ kind }) => kind)),
    new Set(sampleDefects),
  );
  t.ok(images.every(({ anomalous, masks }) => anomalous === (masks.length === 1)));
});

t.test('the same seed gives the same sample, and the mask of a flaw is never empty', async (t) => {
  for (const defect of sampleDefects) {
    const first = drawSample({ seed: 5, index: 1, defect, size: 64 });
    t.ok(sameBytes(drawSample({ seed: 5, index: 1, defect, size: 64 }).pixels, first.pixels), defect);
    t.ok(first.mask.includes(255), defect);
  }
  t.notOk(drawSample({ seed: 5, index: 1, size: 64 }).mask.includes(255), 'good parts have no mask');
  t.notOk(
    sameBytes(
      drawSample({ seed: 5, index: 2, size: 64 }).pixels,
      drawSample({ seed: 5, index: 1, size: 64 }).pixels,
    ),
  );
});

t.test('a plain folder of images is a data set; other files are left out', async (t) => {
  const root = t.testdir({ 'b.JPG': '', 'a.png': '', 'notes.txt': '', 'c.tiff': '', 'old.jpg': {} });
  t.strictSame(
    await trainingImages(root),
    ['a.png', 'b.JPG', 'c.tiff'].map((name) => join(root, name)),
  );
});

t.test('the error for a folder without images says what is expected', async (t) => {
  const root = t.testdir({ 'notes.txt': '' });
  await t.rejects(trainingImages(root), {
    name: 'DatasetError',
    message: /has no images; wanted JPEG.*left out: notes\.txt/,
  });
  await mkdir(join(root, 'train', 'ship'), { recursive: true });
  await t.rejects(trainingImages(root), { message: /as the normal class; found ship/ });
  await t.rejects(trainingImages(join(root, 'nowhere')), DatasetError);
  await t.rejects(testImages({ root }), { message: /MVTec tree/ });
  await mkdir(join(root, 'test', 'good'), { recursive: true });
  await writeFile(join(root, 'test', 'good', 'a.png'), '');
  await t.rejects(testImages({ root }), { message: /no defective images/ });
});

t.test('folders of normal and abnormal images are a test set, with masks by kind or by name', async (t) => {
  const root = t.testdir({
    ok: { 'a.png': '' },
    crack: { 'b.jpg': '', 'c.png': '' },
    dent: { 'd.png': '' },
    masks: { crack: { 'b_mask.png': '' }, 'd.png': '' },
  });
  const at = (...parts: string[]) => join(root, ...parts);
  const folders = { normal: at('ok'), abnormal: [at('crack'), `${at('dent')}/`] };
  const images = await testImages({ ...folders, masks: at('masks') });
  t.strictSame(
    images.map(({ kind, anomalous, masks }) => [kind, anomalous, ...masks]),
    [
      ['good', false],
      ['crack', true, at('masks', 'crack', 'b_mask.png')],
      ['crack', true],
      ['dent', true, at('masks', 'd.png')],
    ],
  );
  t.ok((await testImages(folders)).every(({ masks }) => masks.length === 0));
  await t.rejects(testImages({ normal: at('none'), abnormal: [at('crack')] }), {
    message: /none does not exist/,
  });
  await t.rejects(testImages({ normal: at('ok'), abnormal: [] }), { message: /no defective images/ });
});

t.test('a mask that matches two images, or two folders of the same kind, is rejected', async (t) => {
  const root = t.testdir({
    normal: { 'a.png': '' },
    crack: { '000.png': '' },
    dent: { '000.png': '' },
    masks: { '000.png': '' },
  });
  const [normal, crack, dent] = ['normal', 'crack', 'dent'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  const masks = join(root, 'masks');
  await t.rejects(testImages({ normal, abnormal: [crack, dent], masks }), {
    name: 'DatasetError',
    message: /matches both .*crack.* and .*dent/,
  });
  await t.resolves(testImages({ normal, abnormal: [crack], masks }));
  await t.rejects(testImages({ normal, abnormal: [crack, crack] }), {
    message: /two folders .* named crack/,
  });
});

t.test('one class of several can be selected as the good one', async (t) => {
  const root = t.testdir({
    train: { ship: { 'a.png': '' }, cat: { 'b.png': '' } },
    test: { ship: { 'c.png': '' }, cat: { 'd.png': '' }, dog: { 'e.png': '' } },
  });
  t.strictSame(await trainingImages(root, 'ship'), [join(root, 'train', 'ship', 'a.png')]);
  await t.rejects(trainingImages(root, 'boat'), { message: /no folder \S+train\/boat; found / });
  const images = await testImages({ root, normal: 'ship' });
  t.strictSame(
    images.map(({ kind }) => kind),
    ['good', 'cat', 'dog'],
  );
  await t.rejects(testImages({ root }), { message: /or the name of the good class/ });
});

t.test('hidden files and folders never count, and whatever else is left out is told', async (t) => {
  const root = t.testdir({
    train: {
      good: {
        'a.png': '',
        '._a.png': '',
        'Thumbs.db': '',
        '.ipynb_checkpoints': { 'a-checkpoint.png': '' },
        cam1: { 'b.jfif': '', 'c.JPE': '', 'd.bmp': '' },
        'e.heic': '',
      },
    },
    test: {
      good: { 'f.png': '' },
      '.ipynb_checkpoints': { 'f-checkpoint.png': '' },
      __MACOSX: { 'f.png': '' },
      '@eaDir': { 'g.png': '' },
      crack: { 'g.png': '' },
    },
  });
  const warnings: string[] = [];
  const names = (paths: readonly string[]) => paths.map((path) => path.slice(root.length + 1));
  const training = await trainingImages(root, undefined, (warning) => warnings.push(warning));
  t.strictSame(
    names(training),
    ['a.png', 'cam1/b.jfif', 'cam1/c.JPE'].map((name) => `train/good/${name}`),
  );
  t.match(warnings, [/train\/good: 2 entries are left out: cam1\/d\.bmp, e\.heic; images are JPEG/]);
  warnings.length = 0;
  const images = await testImages({ root }, (warning) => warnings.push(warning));
  t.strictSame(
    images.map(({ kind }) => kind),
    ['good', 'crack'],
  );
  t.strictSame(warnings, []);
  const plain = t.testdir({ 'a.png': '', line1: { 'b.png': '' } });
  t.strictSame(
    await trainingImages(plain, undefined, (warning) => warnings.push(warning)),
    [join(plain, 'a.png')],
    'a folder in a plain folder may hold anything',
  );
  t.match(warnings, [/1 entry is left out: line1\/; images are/]);
});

t.test('masks of no image and folders without images are told', async (t) => {
  const root = t.testdir({
    test: { good: { '0.png': '' }, crack: { '1.png': '' }, dent: {} },
    ground_truth: { crack: { '1_mask.png': '', '999_mask.png': '', 'README.txt': '' } },
  });
  const warnings: string[] = [];
  await testImages({ root }, (warning) => warnings.push(warning));
  t.equal(warnings.length, 2);
  t.match(warnings[0], /dent has no images/);
  t.match(warnings[1], /2 files belong to no image: .*999_mask\.png, .*README\.txt/);
});

t.test('what lies beside the folders of a tree is told', async (t) => {
  const root = t.testdir({
    train: { 'loose.jpg': '', good: { '0.png': '' }, goood: { '1.png': '' } },
    test: { 'loose.png': '', good: { '0.png': '' }, broken: { '1.png': '' } },
    ground_truth: { broken: { '1_mask.png': '' }, borken: { '1_mask.png': '' } },
  });
  const warnings: string[] = [];
  const told = (warning: string): void => void warnings.push(warning.replaceAll(`${root}/`, ''));
  await trainingImages(root, undefined, told);
  await testImages({ root }, told);
  t.strictSame(warnings, [
    'train: 1 entry is left out: loose.jpg; wanted them in the folder of a class',
    'train: only good is used; left out: goood',
    'test: 1 entry is left out: loose.png; wanted them in the folder of a class',
    'ground_truth: 1 file belongs to no image: ground_truth/borken/1_mask.png',
  ]);
});

t.test('masks are found by any name and format that tools give them, or named if unreadable', async (t) => {
  const root = t.testdir({
    test: {
      good: { 'a.png': '' },
      crack: { '000.png': '', '001.png': '', '002.png': '', '003.png': '', cam1: { '000.png': '' } },
    },
    ground_truth: {
      crack: {
        '000_mask.PNG': '',
        '001': { '000.png': '', '001.png': '' },
        '002.bmp': '',
        '003.png': '',
        '003_mask.tif': '',
        cam1: { '000_mask.png': '' },
      },
    },
  });
  const warnings: string[] = [];
  const images = await testImages({ root }, (warning) => warnings.push(warning));
  const truth = join(root, 'ground_truth', 'crack');
  t.strictSame(
    images.slice(1).map(({ masks }) => masks.map((path) => path.slice(truth.length + 1))),
    [['000_mask.PNG'], ['001/000.png', '001/001.png'], [], ['003_mask.tif'], ['cam1/000_mask.png']],
  );
  t.match(warnings, [/1 masks cannot be read, because of their format: .*002\.bmp; wanted JPEG, PNG/]);
});
