/**
 * `npm run pictures:page [-- FOLDER]`: pictures of the page for README and docs, and with a folder every view at 390, 1280
 * and 2560 pixels, light and dark, to be looked at.
 */
import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { writeSample } from '../src/datasets/index.js';
import { modelsFolder } from '../src/detector/index.js';
import { distill } from '../src/index.js';
import { openBrowser, tryExamples, visit } from '../test/support/browser.js';
import { samplePhoto, samplePhotos } from '../test/support/photos.js';
import { startService } from '../test/support/service.js';
import { root } from './peer.js';

const [, , folder] = process.argv;
const detectors = await mkdtemp(join(tmpdir(), 'mkd-pictures-'));
await cp(join(modelsFolder, 'sample'), join(detectors, 'sample'), { recursive: true });
// One whose photos are kept: good ones stand beside those that are looked at.
const parts = join(detectors, '.parts');
await writeSample(parts, { seed: 0, train: 120, good: 1, defective: 1 });
await distill({ dataset: parts, out: join(detectors, 'flange') });
const [browser, service] = await Promise.all([
  openBrowser(),
  startService({ detectors, app: { localAdmin: true } }),
]);
const mimeType = 'image/png';
const good = (await samplePhotos(24)).map((buffer, index) => ({
  name: `IMG_${193 + index}.png`,
  mimeType,
  buffer,
}));
const [first] = good;
const copy = { name: 'IMG_193 copy.png', mimeType, buffer: first?.buffer ?? Buffer.alloc(0) };
const crack = { name: 'crack.png', mimeType, buffer: await samplePhoto(1, 12, 'crack') };

async function inspect(page: Page): Promise<void> {
  await tryExamples(page);
  await page.locator('img.heat').waitFor();
  await page.getByText('Nearest good photo').waitFor();
}

const views: Readonly<Record<string, (page: Page) => Promise<void>>> = {
  empty: async (page) => page.getByText('Ready, CPU').waitFor({ state: 'attached' }),
  inspect,
  outlines: async (page) => {
    await inspect(page);
    await page.getByRole('button', { name: 'Outlines' }).click();
  },
  make: async (page) => {
    await page.getByRole('link', { name: 'New detector' }).click();
    await page.getByLabel('Name', { exact: true }).fill('flange-2');
    const chooser = (label: string) => page.getByLabel(label, { exact: true }).and(page.locator('input'));
    await chooser('Photos of good parts').setInputFiles([...good, copy]);
    await chooser('Photos of defects, only to check').setInputFiles([crack]);
    await page.getByRole('button', { name: 'Check photos' }).click();
    await page.getByText('All have 256 x 256 pixels.').waitFor();
    await page.getByText('Type a rectangle instead').click();
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await page.getByText('Type a rectangle instead').click();
    await page.locator('.thumb > img').nth(25).waitFor();
    await page.evaluate('scrollTo(0, 0)');
  },
  detectors: async (page) => {
    await page.getByRole('link', { name: 'Detectors' }).click();
    await page.getByRole('button', { name: 'sample', exact: true }).click();
    await page.getByText('120 photos of good parts').waitFor();
  },
  service: async (page) => {
    await page.getByRole('link', { name: 'Service' }).click();
    await page.getByText(/\d MB$/).waitFor();
  },
};

async function shoot(
  view: string,
  width: number,
  colorScheme: 'light' | 'dark',
  path: string,
): Promise<void> {
  const viewport = { width, height: width < 600 ? 844 : Math.round((width * 10) / 16) };
  const { page, context } = await visit(browser, service.address, { viewport, colorScheme });
  await views[view]?.(page);
  const picture = await page.screenshot({ fullPage: width < 600 });
  await sharp(picture).png({ palette: true, colours: 256 }).toFile(path);
  await context.close();
}

/** The report of an evaluation on parts of the sample product. */
async function shootReport(path: string): Promise<void> {
  const data = join(detectors, '.data');
  const report = join(detectors, '.report.html');
  await writeSample(data, { seed: 5, train: 0, good: 30, defective: 6 });
  const args = ['evaluate', 'sample', data, '--html', report];
  const { status } = spawnSync(process.execPath, [join(root, 'dist/src/cli/main.js'), ...args]);
  if (status !== 0) throw new Error('the evaluation failed');
  // A name that readers may have.
  await writeFile(report, (await readFile(report, 'utf8')).replaceAll(data, 'flange-photos'));
  const page = await browser.newPage({ viewport: { width: 1180, height: 900 } });
  await page.goto(pathToFileURL(report).href);
  await sharp(await page.screenshot())
    .png({ palette: true, colours: 256 })
    .toFile(path);
}

if (folder === undefined) {
  await shoot('inspect', 1280, 'light', join(root, 'docs', 'page.png'));
  await shoot('make', 1280, 'light', join(root, 'docs', 'make.png'));
  await shootReport(join(root, 'docs', 'report.png'));
} else {
  await mkdir(folder, { recursive: true });
  for (const view of Object.keys(views)) {
    for (const width of [390, 1280, 2560]) {
      for (const scheme of ['light', 'dark'] as const) {
        await shoot(view, width, scheme, join(folder, `${view}-${width}-${scheme}.png`));
      }
    }
  }
}
await browser.close();
await service.stop();
await rm(detectors, { recursive: true });
