/** Reports: what they show, and that names in them are text and nothing else. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { testImages } from '../../src/datasets/index.js';
import { modelsFolder, readDetector, readManifest } from '../../src/detector/index.js';
import { compareReports, evaluate } from '../../src/evaluation/index.js';
import { distillationHtml, evaluationReport } from '../../src/reports/index.js';
import { ScoringEngine } from '../../src/scoring/index.js';
import { noBrowser, openBrowser } from '../support/browser.js';
import { samplePhoto } from '../support/photos.js';
import { testProvider } from '../support/provider.js';

const hostile = "<img src=x onerror=alert(1)>'&";
const engine = await ScoringEngine.open({ provider: testProvider });
t.teardown(() => engine.close());

/** A data set whose kind of defect has a hostile name. */
async function dataset(root: string): Promise<string> {
  const folder = join(root, 'data');
  for (const kind of ['good', hostile]) await mkdir(join(folder, 'test', kind), { recursive: true });
  for (let index = 0; index < 4; index++) {
    await writeFile(join(folder, 'test/good', `${index}.png`), await samplePhoto(index, 41));
    await writeFile(
      join(folder, 'test', hostile, `${index} <script>.png`),
      await samplePhoto(index, 42, 'stain'),
    );
  }
  return folder;
}

t.test('an evaluation is one file: figures, curves, photos, and a table that sorts', async (t) => {
  const root = t.testdir();
  const folder = await dataset(root);
  const detector = await readDetector(join(modelsFolder, 'sample'));
  const report = await evaluate(engine, detector, { root: folder });
  const masks = new Map((await testImages({ root: folder })).map(({ path, masks }) => [path, masks]));
  const one = { name: `sample ${hostile}`, detector, report };
  const html = await evaluationReport(engine, [one], masks);
  t.notMatch(html, /<img src=x/);
  t.match(html, /&lt;img src=x onerror=alert\(1\)>/);
  t.notMatch(html, /(src|href)="?https?:/, 'nothing is loaded');
  t.equal(html.match(/<svg /g)?.length, 3);
  t.equal(html.match(/<figure>/g)?.length, 4 + 4 + 6 + 4);
  t.match(html, /4 of 4, at threshold 7\.658/);
  t.match(html, /0 of 4; promised: at most 5\.0 %/);

  const both = [one, { ...one, name: 'the same again' }];
  const two = await evaluationReport(engine, both, masks, compareReports(report, report));
  t.match(two, /Image AUROC \+0\.0000, 95 % interval 0\.0000 to 0\.0000/);
  t.equal(two.match(/<svg /g)?.length, 6);

  await t.test('in a browser', { skip: noBrowser }, async (t) => {
    const path = join(root, 'report.html');
    await writeFile(path, html);
    const browser = await openBrowser();
    t.teardown(() => browser.close());
    const page = await browser.newPage();
    const faults: string[] = [];
    page.on('dialog', (dialog) => {
      faults.push(dialog.message());
      void dialog.dismiss();
    });
    page.on('console', (message) => faults.push(message.text()));
    page.on('pageerror', (error) => faults.push(error.message));
    await page.goto(pathToFileURL(path).href);
    const table = page.locator('table').last();
    const top = () => table.locator('tbody tr').first().locator('td').first().getAttribute('data-value');
    const scores = report.scores.map(({ score }) => score);
    t.equal(Number(await top()), Math.max(...scores));
    await table.getByRole('button', { name: 'Score' }).click();
    await table.getByRole('button', { name: 'Score' }).click();
    t.equal(Number(await top()), Math.min(...scores));
    await table.getByRole('button', { name: 'Verdict' }).click();
    t.match(await table.locator('tbody tr').first().innerText(), /good/);
    t.strictSame(faults, []);
  });
});

t.test('a detector has a report when it is made', async (t) => {
  const { manifest } = await readManifest(join(modelsFolder, 'sample'));
  const html = distillationHtml({
    name: hostile,
    manifest,
    warnings: [`${hostile}.png was repaired`],
    doubtful: [{ name: `${hostile}.png`, score: 12.345 }],
  });
  t.notMatch(html, /<img src=x/);
  t.match(html, /≤ 5 %/);
  t.match(html, /12\.3[45]/);
  t.equal(html.match(/<svg /g)?.length, 1);
  const embedded = JSON.parse(await readFile(join(modelsFolder, 'sample/manifest.json'), 'utf8')) as {
    data: { images: number };
  };
  t.match(html, new RegExp(`Made from ${embedded.data.images} photos`));
});
