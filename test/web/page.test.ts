/** The page at `/` in a real browser, with a real service behind it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import t from 'tap';
import { hashKey, makeKey, type RunningService, writeKeyFile } from '../../src/http/index.js';
import { noBrowser, openBrowser, tryExamples, visit } from '../support/browser.js';
import { copyDetector } from '../support/detectors.js';
import { startService } from '../support/service.js';

const example = (name: string): Promise<Buffer> =>
  readFile(new URL(`../../../examples/${name}`, import.meta.url));
const choose = (page: Page, files: readonly { name: string; buffer: Buffer }[]): Promise<void> =>
  page
    .getByLabel('Photos', { exact: true })
    .first()
    .setInputFiles(files.map((file) => ({ mimeType: 'application/octet-stream', ...file })));
const verdict = (page: Page) => page.getByLabel('Verdict', { exact: true });

t.test('the page', { skip: noBrowser }, async (t) => {
  let browser: Browser;
  let service: RunningService;
  t.before(async () => {
    [browser, service] = await Promise.all([openBrowser(), startService()]);
  });
  t.teardown(async () => {
    await browser.close();
    await service.stop();
  });

  t.test('an example shows its verdict, regions and heatmap, and a link that opens it again', async (t) => {
    const { page, context, faults } = await visit(browser, service.address);
    t.teardown(() => context.close());
    await tryExamples(page);
    t.match(await verdict(page).innerText(), /^Anomalous\nScore 6\d\.\d, threshold 7\.66/);
    t.equal(await page.getByText('times the threshold').count(), 1);
    await page.locator('img.heat').waitFor();
    const strip = page.getByRole('list', { name: 'Photos' }).getByRole('button');
    t.match(await strip.nth(1).getAttribute('aria-label'), /good-1\.png 3\.10, good/);

    // Everything by keys: the next photo is good, then outlines instead of the heatmap.
    await page.keyboard.press('ArrowRight');
    await page.getByText('Good', { exact: true }).waitFor();
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('v');
    t.equal(await page.locator('svg .region').count(), 1);

    const link = await page.locator('a[href^="#/results/"]').getAttribute('href');
    const other = await visit(browser, service.address);
    t.teardown(() => other.context.close());
    await other.page.goto(`${service.address}/${link}`);
    t.match(await verdict(other.page).innerText(), /^Anomalous/);
    // All of it is there: the photo by its name, its place among good ones, and the picture in the strip.
    await other.page.getByText('defect-1.png, 256 x 256').waitFor();
    await other.page.getByText('At 7.66: 1 of 1 photo here is anomalous').waitFor();
    await other.page.locator('.thumb img').waitFor();
    const shown = await other.page.locator('.sheet img').first().getAttribute('src');
    const id = link?.split('/').at(-1);
    const original = await fetch(`${service.address}/v1/results/${id}/photo`);
    const { width, height } = await sharp(await original.arrayBuffer()).metadata();
    t.match([shown?.startsWith('blob:'), width, height], [true, 256, 256]);

    // A link that has expired does not show what was shown before.
    await other.page.goto(`${service.address}/#/results/none`);
    await other.page.getByText("there is no result 'none'").waitFor();
    t.equal(await verdict(other.page).count(), 0);
    t.strictSame([...faults, ...other.faults], []);
  });

  t.test('a threshold that is tried out changes verdicts, and says what it promises', async (t) => {
    const { page, context, faults } = await visit(browser, service.address);
    t.teardown(() => context.close());
    await page.getByRole('button', { name: 'Try four examples' }).click();
    await page.getByText('At 7.66: 3 of 4 photos here are anomalous; false alarms at most 5.0 %').waitFor();
    const slider = page.getByLabel('Threshold to try out');
    await slider.fill('1000');
    await page.getByText(/: 0 of 4 photos here are anomalous; false alarms at most 0\.8 %/).waitFor();
    await slider.fill('0');
    await page.getByText(/: 4 of 4 .* every good part would be a false alarm|: 4 of 4 /).waitFor();
    await page.getByRole('button', { name: 'Save for sample' }).click();
    // A service without keys lets nobody change detectors, and says how that is done.
    await page.getByText('Not saved: this needs an admin key, and the service has no keys').waitFor();
    await page.getByRole('button', { name: 'Back to 7.66' }).click();
    await page.getByText('At 7.66: 3 of 4').waitFor();
    t.strictSame(faults, []);
  });

  t.test('what cannot be scored is said in words, and the others are scored', async (t) => {
    const { page, context, faults } = await visit(browser, service.address);
    t.teardown(() => context.close());
    const defect = await example('defect-1.png');
    const hostile = '<img src=x onerror=alert(1)>.png';
    const tiff = await sharp(defect).tiff().toBuffer();
    await choose(page, [
      { name: 'notes.jpg', buffer: Buffer.from('not an image') },
      { name: hostile, buffer: defect },
      { name: 'part.tif', buffer: tiff },
    ]);
    await page.getByText('3 of 3 photos scored').waitFor();
    const alert = page.getByRole('alert');
    t.match(
      await alert.innerText(),
      /This photo was not scored\s+this is not a JPEG, PNG, WebP or TIFF image/,
    );
    await page.keyboard.press('ArrowRight');
    await page.getByText(`${hostile}, 256 x 256`).waitFor();
    // The browser cannot show a TIFF; the service's picture of it is shown.
    await page.keyboard.press('ArrowRight');
    await page.getByText('part.tif, 256 x 256').waitFor();
    await page.getByRole('img', { name: 'part.tif' }).waitFor();
    t.match(await verdict(page).innerText(), /^Anomalous/);

    // A filter, and a report of what it shows: a file in which the name is only a name.
    await page.getByLabel('Score from').fill('5');
    await page.getByRole('button', { name: /notes\.jpg/ }).waitFor({ state: 'detached' });
    const [report] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download report' }).click(),
    ]);
    t.equal(report.suggestedFilename(), 'mkd-report.html');
    const other = await context.newPage();
    other.on('dialog', () => t.fail('the report runs the name'));
    const path = join(t.testdir(), 'report.html');
    await report.saveAs(path);
    await other.goto(`file://${path}`);
    await other.getByText('2 of 2 photos are anomalous').waitFor();
    await other.getByRole('cell', { name: hostile }).waitFor();
    t.equal(await other.locator('figure img').count(), 2);
    await other.close();
    const [map] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'map', exact: true }).click(),
    ]);
    t.equal(map.suggestedFilename(), 'part-map.npy');
    t.strictSame(faults, []);
  });

  t.test('without a connection photos wait for a second try', async (t) => {
    const { page, context } = await visit(browser, service.address);
    t.teardown(() => context.close());
    await page.getByText('Ready, CPU').waitFor();
    await context.setOffline(true);
    await choose(page, [{ name: 'good.png', buffer: await example('good-1.png') }]);
    await page.getByText('The service does not answer. Is it running').waitFor();
    await context.setOffline(false);
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByText('Good', { exact: true }).waitFor();
  });

  t.test('no view has a fault that axe finds, light or dark', async (t) => {
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page, context, faults } = await visit(browser, service.address, { colorScheme });
      t.teardown(() => context.close());
      const check = async (view: string): Promise<void> => {
        await page.evaluate(axe.source);
        const { violations } = await page.evaluate(async () =>
          (globalThis as unknown as { axe: typeof axe }).axe.run(),
        );
        const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
        t.strictSame(found, [], `${view}, ${colorScheme}`);
      };
      await page.getByText('Ready, CPU').waitFor();
      await check('nothing yet');
      await tryExamples(page);
      await check('results');
      await page.getByRole('link', { name: 'Detectors' }).click();
      await page.getByRole('button', { name: 'sample', exact: true }).click();
      await page.getByText('120 photos of good parts').waitFor();
      await page.getByLabel(/Mean score .* in the last hour, threshold 7\.66/).waitFor();
      await check('detectors');
      await page.getByRole('link', { name: 'Service' }).click();
      await page.getByText('Photos a second').waitFor();
      await check('service');
      t.strictSame(faults, []);
    }
  });
});

t.test('a service with keys asks for one', { skip: noBrowser }, async (t) => {
  const folder = t.testdir();
  const path = join(folder, 'keys.json');
  const key = makeKey();
  await writeKeyFile(path, [{ name: 'owner', scopes: ['admin'], sha256: hashKey(key) }]);
  const detectors = join(folder, 'detectors');
  await copyDetector(join(detectors, 'flange'));
  const [browser, service] = await Promise.all([openBrowser(), startService({ keys: path, detectors })]);
  t.teardown(async () => {
    await browser.close();
    await service.stop();
  });
  const { page, faults } = await visit(browser, service.address);
  const field = page.getByLabel('API key', { exact: true });
  await field.fill('wrong');
  await page.getByRole('button', { name: 'Use this key' }).click();
  await page.getByText('the API key is unknown').first().waitFor();
  await field.fill(key);
  await page.getByRole('button', { name: 'Use this key' }).click();
  await tryExamples(page);
  // Pictures need the key too.
  await page.locator('img.heat').waitFor();

  // A threshold that is saved serves at once.
  await page.getByLabel('Threshold to try out').fill('1000');
  const tried = await page.getByText(/: 0 of 4 photos here/).innerText();
  await page.getByRole('button', { name: 'Save for flange' }).click();
  await page.getByRole('button', { name: 'Save for flange' }).waitFor({ state: 'detached' });
  await page.getByText('0 of 4 photos here are anomalous').waitFor();
  const [, saved] = /^At (\S+):/.exec(tried) ?? [];
  const answer = await fetch(`${service.address}/v1/detectors/flange`, { headers: { 'x-api-key': key } });
  t.match(await answer.json(), { manifest: { calibration: { threshold: Number(saved) } } });
  t.strictSame(faults, []);
});

t.test('the page is one that browsers guard, and its files never change', async (t) => {
  const service = await startService();
  t.teardown(() => service.stop());
  const page = await fetch(service.address);
  const html = await page.text();
  const policy = page.headers.get('content-security-policy') ?? '';
  t.match(policy, /default-src 'none'; script-src 'self'/);
  t.notMatch(policy, /unsafe/);
  t.equal(page.headers.get('cache-control'), 'no-cache');
  const [, script = ''] = /src="([^"]+\.js)"/.exec(html) ?? [];
  const asset = await fetch(new URL(script, service.address));
  t.equal(asset.status, 200);
  t.match(asset.headers.get('cache-control'), /immutable/);
  t.equal((await fetch(`${service.address}/assets/none.js`)).status, 404);
});
