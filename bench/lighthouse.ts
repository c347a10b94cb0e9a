/**
 * `npm run check:lighthouse`: what Lighthouse says of the page, as on a phone and on a desktop. Fails below 95 of 100. Installs
 * Lighthouse into bench/.peers, once; needs a browser, Debian's chromium or the one in TEST_BROWSER.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { browserPath } from '../test/support/browser.js';
import { root } from './peer.js';
import { startService } from './service.js';

/** The last one for Node.js 20. */
const lighthouse = 'lighthouse@12.8.2';
const categories = ['performance', 'accessibility', 'best-practices'];
const least = 0.95;
const port = 18_089;

interface Report {
  readonly runtimeError?: { readonly message: string };
  readonly categories: Readonly<Record<string, { readonly id: string; readonly score: number | null }>>;
  readonly audits: Readonly<
    Record<string, { readonly id: string; readonly score: number | null; readonly displayValue?: string }>
  >;
}

const tools = join(root, 'bench/.peers/lighthouse');
const cli = join(tools, 'node_modules/.bin/lighthouse');
if (!existsSync(cli)) {
  await mkdir(tools, { recursive: true });
  await writeFile(join(tools, 'package.json'), '{"private": true}');
  const { status } = spawnSync('npm', ['install', '--no-audit', '--no-fund', lighthouse], {
    cwd: tools,
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error('npm install failed');
}

const service = await startService(port);
let failed = false;
try {
  for (const [device, flags] of [
    ['phone', []],
    ['desktop', ['--preset=desktop']],
  ] as const) {
    const path = join(tools, `${device}.json`);
    const args = [
      `http://127.0.0.1:${port}`,
      '--quiet',
      '--chrome-flags=--headless=new --no-sandbox --disable-dev-shm-usage',
      '--output=json',
      `--output-path=${path}`,
      `--only-categories=${categories.join()}`,
      ...flags,
    ];
    spawnSync(cli, args, { stdio: 'inherit', env: { ...process.env, CHROME_PATH: browserPath } });
    const { runtimeError, categories: found, audits } = JSON.parse(await readFile(path, 'utf8')) as Report;
    if (runtimeError) throw new Error(runtimeError.message);
    const scores = Object.values(found).map(({ id, score }) => `${id} ${Math.round(100 * (score ?? 0))}`);
    console.log(`${device}: ${scores.join(', ')}`);
    for (const { id, score, displayValue = '' } of Object.values(audits)) {
      if (score !== null && score < least) console.log(`  ${id} ${Math.round(100 * score)} ${displayValue}`);
    }
    failed ||= Object.values(found).some(({ score }) => (score ?? 0) < least);
  }
} finally {
  await service.stop();
}
process.exitCode = failed ? 1 : 0;
