/**
 * `npm run page:load`: many photos dropped on the page at once. Prints how long the first picture takes, the longest task of the
 * page's main thread, and memory of page and service after 200 and after 2,000 photos.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { drawSample } from '../src/datasets/index.js';
import { encodePng } from '../src/imaging/index.js';
import { openBrowser, visit } from '../test/support/browser.js';
import { startService } from '../test/support/service.js';
import { root } from './peer.js';

const atOnce = 200;
const rounds = 10;
/** No task of the page may be longer. */
const longestMs = 200;

const [browser, service] = await Promise.all([openBrowser(), startService()]);
const { page, faults } = await visit(browser, service.address);
await page.addInitScript(`
  globalThis.longest = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) globalThis.longest = Math.max(globalThis.longest, duration);
  }).observe({ type: 'longtask', buffered: true });
`);
await page.goto(service.address);
await page.getByText('Ready, CPU').waitFor();
const paint = await page.evaluate<number>(
  "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0",
);
const shift = await page.evaluate<number>(`new Promise((resolve) => {
  let sum = 0;
  new PerformanceObserver((list) => { for (const entry of list.getEntries()) sum += entry.value; }).observe({ type: 'layout-shift', buffered: true });
  setTimeout(() => resolve(sum), 500);
})`);
console.log(`first contentful paint ${paint.toFixed(0)} ms, layout shift ${shift.toFixed(3)}`);

const folder = await mkdtemp(join(tmpdir(), 'mkd-page-'));
const files = await Promise.all(
  Array.from({ length: atOnce }, async (_, index) => {
    const { pixels, width, height } = drawSample({ seed: 51, index });
    // As files: their contents would pass through the page's main thread.
    const path = join(folder, `${index}.png`);
    await writeFile(path, await encodePng(pixels, width, height, 3));
    return path;
  }),
);

const session = await page.context().newCDPSession(page);
/** Of the page's JavaScript, after a collection. */
async function pageMiB(): Promise<number> {
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = (await session.send('Runtime.getHeapUsage')) as { usedSize: number };
  return usedSize / 2 ** 20;
}

const serviceMiB = (): number => process.memoryUsage.rss() / 2 ** 20;
for (let round = 1; round <= rounds; round++) {
  const began = performance.now();
  await page.getByLabel('Photos', { exact: true }).and(page.locator('input')).setInputFiles(files);
  const all = round * atOnce;
  await page.getByText(`${all} of ${all} photos scored`).waitFor({ timeout: 120_000 });
  const seconds = (performance.now() - began) / 1000;
  if (round === 1 || round === rounds) {
    const longest = await page.evaluate<number>('globalThis.longest');
    console.log(
      `${all} photos: the last ${atOnce} in ${seconds.toFixed(1)} s, longest task ${longest.toFixed(0)} ms, ` +
        `page ${(await pageMiB()).toFixed(0)} MiB, service and this script ${serviceMiB().toFixed(0)} MiB`,
    );
    if (longest > longestMs) process.exitCode = 1;
  }
}
if (faults.length > 0) {
  console.log(faults.join('\n'));
  process.exitCode = 1;
}
await page.screenshot({ path: join(root, 'dist', 'page-load.png') });
await browser.close();
await service.stop();
await rm(folder, { recursive: true });
