/** A detector made in the browser, as someone does who has never used a command line. */
import { join } from 'node:path';
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import t from 'tap';
import { noBrowser, openBrowser, visit } from '../support/browser.js';
import { copyDetector } from '../support/detectors.js';
import { samplePhoto, samplePhotos } from '../support/photos.js';
import { startService } from '../support/service.js';

interface File {
  readonly name: string;
  readonly mimeType: string;
  readonly buffer: Buffer;
}

const asFile = (name: string, buffer: Buffer): File => ({ name, mimeType: 'image/png', buffer });
const chooseGood = (page: Page, files: File[]): Promise<void> =>
  page.getByLabel('Photos of good parts', { exact: true }).and(page.locator('input')).setInputFiles(files);

t.test('from an empty service to the verdict on a doubtful part', { skip: noBrowser }, async (t) => {
  const detectors = join(t.testdir(), 'detectors');
  await copyDetector(join(detectors, 'sample'));
  const start = (port = 0) => startService({ detectors, port, app: { localAdmin: true } });
  let service = await start();
  const browser = await openBrowser();
  t.teardown(async () => {
    await browser.close();
    await service.stop();
  });
  const port = Number(new URL(service.address).port);
  const { page, context, faults } = await visit(browser, service.address);
  const check = async (view: string): Promise<void> => {
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(async () =>
      (globalThis as unknown as { axe: typeof axe }).axe.run(),
    );
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
    t.strictSame(found, [], view);
  };
  const photos = (await samplePhotos(20)).map((photo, index) => asFile(`part-${index}.png`, photo));
  const [first] = photos as [File];
  const crack = await samplePhoto(1, 12, 'crack');

  await t.test('photos are chosen, checked, and become a detector', async (t) => {
    await page.getByRole('link', { name: 'New detector' }).click();
    const proceed = page.getByRole('button', { name: 'Check photos' });
    t.equal(await proceed.isDisabled(), true);
    await check('nothing yet');
    await page.getByLabel('Name', { exact: true }).fill('flange');
    await chooseGood(page, photos.slice(0, 3));
    await page.getByText('3 photos are too few: 8 are needed, 50 are good.').waitFor();
    await chooseGood(page, [
      ...photos.slice(3),
      { ...first, name: 'same.png' },
      asFile('<img src=x onerror=alert(1)>.png', Buffer.from('no image')),
    ]);
    await page
      .getByLabel('Photos of defects, only to check', { exact: true })
      .and(page.locator('input'))
      .setInputFiles([asFile('crack.png', crack)]);
    await proceed.click();
    await page.getByText('1 copy is left out').waitFor();
    await page.getByText('1 cannot be read').waitFor();
    await page.getByText('All have 256 x 256 pixels.').waitFor();
    t.equal(await page.getByTitle('it is a copy of part-0.png').count(), 1);

    // Everything counts but a frame.
    await page.getByText('Type a rectangle instead').click();
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await page.getByText('One area counts.').waitFor();
    await check('checked');
    await page.getByRole('button', { name: 'Clear' }).click();

    await page.getByRole('button', { name: 'Make detector' }).click();
    await page.getByText('The expert looks at the photos').waitFor();
    await check('while it is made');
    await page.getByText('flange is ready').waitFor({ timeout: 60_000 });
    await page.getByText('20 photos, in').waitFor();
    await check('made');
  });

  await t.test('it shows where a defect is, and learns from a photo that is marked as good', async (t) => {
    await page.getByRole('button', { name: 'Score the photo of a defect' }).click();
    await page.getByText('1 of 1 photo scored').waitFor();
    t.match(await page.getByLabel('Verdict', { exact: true }).innerText(), /^Anomalous/);
    // A good photo stands beside it, and moves with it.
    await page.getByText(/Nearest good photo: part-\d+\.png/).waitFor();
    const places = () => page.locator('.sheet').evaluateAll((all) => all.map(({ style }) => style.transform));
    const [before] = await places();
    await page.getByRole('button', { name: 'Larger' }).click();
    const [photo, beside, ...more] = await places();
    t.not(photo, before);
    t.strictSame([beside, more], [photo, []]);
    await page.getByRole('button', { name: 'Compare' }).click();
    await page.getByText('Nearest good photo').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Compare' }).click();
    await page.getByRole('button', { name: 'Wrong' }).click();
    await check('marked');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download verdicts' }).click(),
    ]);
    t.equal(download.suggestedFilename(), 'mkd-verdicts.jsonl');
    await page.getByRole('button', { name: 'Add the photo marked as good to flange' }).click();
    t.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'flange');
    t.equal(await page.getByLabel('Add these photos to those it was made from').isChecked(), true);
    await page.getByRole('button', { name: 'Check photos' }).click();
    await page.getByRole('button', { name: 'Add photos to the detector' }).click();
  });

  await t.test('a restart of the service in the middle does not matter', async (t) => {
    await page.getByText('Making flange').waitFor();
    await service.stop();
    service = await start(port);
    // A photo that is unlike the others is named.
    await page.getByText('flange is ready').waitFor({ timeout: 60_000 });
    await page.getByText('21 photos, in').waitFor();
    await page.getByText('One photo is unlike the other good ones').waitFor();
    await page.getByRole('button', { name: 'Make it again without this photo' }).click();
    await page.getByText('20 photos, in').waitFor({ timeout: 60_000 });
    t.equal(await page.getByText('detector.doubtful.png').count(), 0, 'no file of the service is named');
    await page.getByRole('link', { name: 'Service' }).click();
    await page.getByRole('cell', { name: 'flange' }).first().waitFor();
    t.equal(await page.getByRole('cell', { name: 'made', exact: true }).count(), 3);
    await check('jobs');
  });

  await t.test('without a connection, and with a file that is too large, it says so', async (t) => {
    await page.getByRole('link', { name: 'New detector' }).click();
    await page.getByRole('button', { name: 'Make another one' }).click();
    await page.getByLabel('Name', { exact: true }).fill('lid');
    await chooseGood(page, [...photos.slice(0, 8), asFile('huge.png', Buffer.alloc(33 * 2 ** 20))]);
    await page.getByRole('button', { name: 'Check photos' }).click();
    await page.getByText('1 cannot be read').waitFor();
    t.equal(await page.getByTitle('it has more than 33554432 bytes, the maximum').count(), 1);
    await page.getByRole('button', { name: 'Change photos' }).click();
    await context.setOffline(true);
    await page.getByRole('button', { name: 'Check photos' }).click();
    await page.getByText('The service does not answer. Is it running').waitFor();
    await context.setOffline(false);
    await page.getByRole('button', { name: 'Check photos' }).click();
    // Eight photos promise less than the usual rate, and are enough.
    await page.getByRole('button', { name: 'Make detector' }).click();
    await page.getByText('lid is ready').waitFor({ timeout: 60_000 });
    t.pass();
  });
  t.strictSame(faults, []);
});
