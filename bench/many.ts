/**
 * `npm run many`: a thousand detectors in one service, with requests spread over all of them. Measures how much
 * resident memory each adds, and how much longer the first response of a detector takes than the second: with 64 in
 * memory, the default, where the others are read on use, and with all in memory. Measures after all have passed their
 * self-tests, which start when the service is ready.
 */
import { link, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { filesOf, manifestWithThreshold } from '../test/support/detectors.js';
import { root } from './peer.js';
import { Client, quantile, startService } from './service.js';

const count = Number(process.argv[2] ?? 1000);
/** In memory at once, as by default. */
const held = Math.min(64, count);
/** For a detector of 300 photos. */
const mostMiB = 16;
const port = 18_084;
const folder = await mkdtemp(join(tmpdir(), 'mkd-many-'));
const image = await readFile(join(root, 'examples/good-1.png'));

/** Creates detectors that differ in their threshold; cloner and self-test are hard links, to save disk space. */
async function makeDetectors(into: string, many: number): Promise<void> {
  const { 'manifest.json': _, ...files } = await filesOf();
  await mkdir(into, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(into, name), bytes);
  for (let index = 0; index < many; index++) {
    const target = join(into, `detector-${index}`);
    await mkdir(target);
    for (const name of Object.keys(files)) await link(join(into, name), join(target, name));
    await writeFile(join(target, 'manifest.json'), await manifestWithThreshold(index / 1e6));
  }
}

/** Scores an image. @returns the response time in milliseconds. */
async function ask(client: Client, index: number): Promise<number> {
  const began = performance.now();
  const path = `/v1/detectors/detector-${index}/score`;
  const { status, body } = await client.send('POST', path, image, { 'content-type': 'image/png' });
  if (status !== 200) throw new Error(`detector-${index} responded with ${status}: ${body.toString()}`);
  return performance.now() - began;
}

/** Returns the number of detectors that have not run their self-test yet. */
async function unverified(client: Client): Promise<number> {
  const { body } = await client.send('GET', '/metrics');
  return Number(/^mkd_detectors_unverified (\d+)/m.exec(body.toString())?.[1]);
}

interface Measured {
  readonly readySeconds: number;
  /** Until all have passed their self-tests. */
  readonly verifiedSeconds: number;
  /** Bytes after two requests to each. */
  readonly after: number;
  readonly first: number[];
  readonly second: number[];
}

async function measure(detectors: string, many: number, maxLoaded: number): Promise<Measured> {
  const began = performance.now();
  const flags = ['--detectors', detectors, '--max-loaded', String(maxLoaded), '--watch-every-ms', '0'];
  const service = await startService(port, ...flags);
  const seconds = (): number => (performance.now() - began) / 1000;
  const readySeconds = seconds();
  const client = new Client(port, 1);
  try {
    while ((await unverified(client)) > 0) await wait(200);
    const verifiedSeconds = seconds();
    const [first, second]: [number[], number[]] = [[], []];
    // In another order than they were loaded.
    for (let step = 0; step < many; step++) first.push(await ask(client, (step * 389) % many));
    for (let step = 0; step < many; step++) second.push(await ask(client, (step * 389) % many));
    return { readySeconds, verifiedSeconds, after: await service.residentBytes(), first, second };
  } finally {
    client.close();
    await service.stop();
  }
}

const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

/** Prints the costs of many detectors. @returns whether they are within the limits. */
function report(
  what: string,
  { readySeconds, verifiedSeconds, after, first, second }: Measured,
  one: Measured,
  inMemory: number,
): boolean {
  const each = (after - one.after) / inMemory / 2 ** 20;
  const late = first.map((time, index) => time - (second[index] as number));
  const ms = (times: number[], share: number): string => quantile(times, share).toFixed(0);
  console.log(
    `${what}: ready in ${readySeconds.toFixed(1)} s, all verified in ${verifiedSeconds.toFixed(1)} s, resident ${mib(after)}, ${each.toFixed(2)} MiB for each in memory (limit ${mostMiB}); ` +
      `response times, median and 99 %: first ${ms(first, 0.5)} and ${ms(first, 0.99)} ms, second ${ms(second, 0.5)} and ` +
      `${ms(second, 0.99)} ms, first minus second ${ms(late, 0.5)} and ${ms(late, 0.99)} ms (limit 100)`,
  );
  return each <= mostMiB && quantile(late, 0.99) <= 100;
}

try {
  await makeDetectors(join(folder, 'one'), 1);
  await makeDetectors(join(folder, 'many'), count);
  const one = await measure(join(folder, 'one'), 1, 1);
  const few = await measure(join(folder, 'many'), count, held);
  const all = await measure(join(folder, 'many'), count, count);
  console.log(`one detector: ready in ${one.readySeconds.toFixed(1)} s, resident ${mib(one.after)}`);
  const met = report(`${count} detectors, ${held} of them in memory`, few, one, held);
  report(`${count} detectors, all in memory`, all, one, count);
  process.exitCode = met ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
