/** One way to score: the service, the library and the command line agree on scores, layers, regions and pictures. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import type { RunningService } from '../../src/http/index.js';
import { type Detector, encodeNpy, openDetector } from '../../src/index.js';
import { bothKinds, kinds } from '../support/both-kinds.js';
import { sameBytes } from '../support/same-bytes.js';
import { startService } from '../support/service.js';

const examples = fileURLToPath(new URL('../../../examples/', import.meta.url));
const names = ['good-1.png', 'defect-1.png'];

let service: RunningService;
let opened: Readonly<Record<string, Detector>>;
t.before(async () => {
  // A session of a detector's own has its weights as constants, and sums in another order.
  service = await startService({ detectors: await bothKinds(t), device: { dedicatedSessions: 0 } });
  opened = {
    sample: await openDetector('sample', { provider: 'cpu' }),
    'sample-paper': await openDetector('sample-paper', { provider: 'cpu' }),
  };
});
t.teardown(async () => {
  await service.stop();
  for (const detector of Object.values(opened)) await detector.close();
});

interface Result {
  readonly score: number;
  readonly threshold: number;
  readonly pValue: number;
  readonly verdict: string;
  readonly layers: readonly object[];
  readonly peak?: number;
  readonly localization?: { readonly regions: readonly object[] };
}

async function post(path: string, name: string, by = 'sample'): Promise<Response> {
  const body = Uint8Array.from(await readFile(join(examples, name)));
  const headers = { 'content-type': 'image/png' };
  const response = await fetch(`${service.address}/v1/detectors/${by}/${path}`, {
    method: 'POST',
    body,
    headers,
  });
  t.equal(response.status, 200, `${path} of ${name}`);
  return response;
}

const resultOf = async (path: string, name: string, by = 'sample'): Promise<Result> =>
  ((await (await post(path, name, by)).json()) as { results: [Result] }).results[0];

/** What both of them say of an image. */
const said = ({ score, threshold, pValue, verdict, layers, peak }: Partial<Result>) => ({
  score,
  threshold,
  pValue,
  verdict,
  layers,
  peak,
});

for (const [by, name] of kinds.flatMap((by) => names.map((name) => [by, name] as const))) {
  t.test(`${name} scores the same by ${by}, by its own threshold and by another`, async (t) => {
    const detector = opened[by] as Detector;
    const image = await readFile(join(examples, name));
    t.strictSame(said(await resultOf('score', name, by)), said(await detector.score(image)));
    const other = await detector.score(image, { threshold: 100 });
    t.strictSame(said(await resultOf('score?threshold=100', name, by)), said(other));
    t.equal(other.verdict, 'good');
  });

  // Each of its maps takes a second, and one image has everything.
  if (by === 'sample-paper' && name !== 'defect-1.png') continue;
  t.test(`${name} has the same maps, regions and pictures by ${by}, by each method`, async (t) => {
    const detector = opened[by] as Detector;
    const image = await readFile(join(examples, name));
    for (const wanted of [{}, { method: 'gradient' }, { method: 'guided' }] as const) {
      const local = await detector.localize(image, wanted);
      const query = new URLSearchParams(wanted).toString();
      const label = query || 'as the detector does';
      const remote = await resultOf(`localize?as=json&${query}`, name, by);
      t.strictSame(remote.localization?.regions, local.regions, `regions ${label}`);
      t.equal(remote.score, local.score, `score ${label}`);
      const full = Buffer.from(await (await post(`localize?as=map&${query}`, name, by)).arrayBuffer());
      t.ok(full.equals(encodeNpy(await local.fullMap(), [256, 256])), `map ${label}`);
    }
    const local = await detector.localize(image);
    for (const as of ['heatmap', 'overlay', 'mask'] as const) {
      const bytes = await (await post(`localize?as=${as}`, name, by)).arrayBuffer();
      t.ok(sameBytes(new Uint8Array(bytes), await local[as]()), as);
    }
  });
}

t.test('the command line writes the same', async (t) => {
  const folder = t.testdir();
  const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
  const files = names.map((name) => join(examples, name));
  const flags = ['--provider', 'cpu', '--json', '--regions', '--heatmaps', folder];
  const { stdout } = await promisify(execFile)(process.execPath, [
    main,
    'score',
    'sample',
    ...files,
    ...flags,
  ]);
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Pick<Result, 'score' | 'verdict'> & { regions: readonly object[] });
  t.equal(lines.length, names.length);
  for (const [at, name] of names.entries()) {
    const remote = await resultOf('localize?as=json', name);
    // A command's images share batches, and sums in another order differ in the last digits.
    const score = lines[at]?.score ?? Number.NaN;
    t.ok(Math.abs(score - remote.score) < 1e-3, `${name}: ${score}, ${remote.score}`);
    t.equal(lines[at]?.verdict, remote.verdict, name);
    t.equal(lines[at]?.regions.length, remote.localization?.regions.length, name);
  }
});
