/**
 * `npm run pictures:page [-- FOLDER]`: pictures of the page for README and docs, and with a folder every view at 390, 1280
 * and 2560 pixels, light and dark, to be looked at.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { openBrowser, tryExamples, visit } from '../test/support/browser.js';
import { startService } from '../test/support/service.js';
import { root } from './peer.js';

const [, , folder] = process.argv;
const [browser, service] = await Promise.all([openBrowser(), startService()]);

async function inspect(page: Page): Promise<void> {
  await tryExamples(page);
  await page.locator('img.heat').waitFor();
}

const views: Readonly<Record<string, (page: Page) => Promise<void>>> = {
  empty: async (page) => page.getByText('Ready, CPU').waitFor({ state: 'attached' }),
  inspect,
  outlines: async (page) => {
    await inspect(page);
    await page.getByRole('button', { name: 'Outlines' }).click();
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

if (folder === undefined) {
  await shoot('inspect', 1280, 'light', join(root, 'docs', 'page.png'));
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
