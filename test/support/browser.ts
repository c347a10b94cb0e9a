/** A real browser for tests of the page: Debian's Chromium. */
import { existsSync } from 'node:fs';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

const paths = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
/** Where it is; undefined if there is none. */
export const browserPath = process.env.TEST_BROWSER ?? paths.find((path) => existsSync(path));

/** Why tests of the page are skipped; false if there is a browser. */
export const noBrowser =
  browserPath === undefined &&
  `there is no browser: install Debian's package chromium, or name one in TEST_BROWSER (looked for ${paths.join(', ')})`;

export async function openBrowser(): Promise<Browser> {
  if (browserPath === undefined) throw new Error(String(noBrowser));
  return chromium.launch({
    executablePath: browserPath,
    // As root there is no sandbox; and nothing but the page may use the network.
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
  });
}

export interface VisitedPage {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What should not have happened: errors of scripts, violations of the content policy, requests elsewhere. */
  readonly faults: readonly string[];
}

/** Opens the page of a service in a profile of its own. */
export async function visit(
  browser: Browser,
  address: string,
  options: Parameters<Browser['newContext']>[0] = {},
): Promise<VisitedPage> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('console', (message) => {
    // Answers with an error status are expected by some tests, and shown by the page.
    if (message.type() !== 'error' || message.text().startsWith('Failed to load resource')) return;
    faults.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== address && protocol !== 'blob:') faults.push(`request: ${request.url()}`);
  });
  await page.goto(address);
  return { page, context, faults };
}

/** Scores the examples, and waits for all of them. */
export async function tryExamples(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Try four examples' }).click();
  await page.getByText('4 of 4 photos scored').waitFor();
}
