/** The service as a client sees it: a real server on a free port with the embedded detector. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import t from 'tap';
import { drawSample } from '../../src/datasets/index.js';
import { buildApp, type RunningService, serve } from '../../src/http/index.js';
import { serveOperations } from '../../src/queue/index.js';
import { bothKinds } from '../support/both-kinds.js';
import { freePort } from '../support/free-port.js';
import { pictureJpeg, picturePng } from '../support/images.js';
import { sameBytes } from '../support/same-bytes.js';
import { startService } from '../support/service.js';

const root = new URL('../../../', import.meta.url);
let service: RunningService;
let good: Uint8Array;

t.before(async () => {
  service = await startService({ detectors: await bothKinds(t) });
  const { pixels, width, height } = drawSample({ seed: 11, index: 0 });
  good = await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
});
t.teardown(() => service.stop());

interface Answer {
  readonly detector: string;
  readonly version: string;
  readonly results: readonly {
    readonly id: string;
    readonly name?: string;
    readonly score: number;
    readonly verdict: string;
    readonly width: number;
    readonly layers: readonly {
      readonly layer: string;
      readonly meaning: string;
      readonly contribution: number;
    }[];
    readonly peak: number;
    readonly timings: object;
    readonly links: Readonly<Record<string, string>>;
    readonly error?: { readonly status: number; readonly detail: string };
  }[];
}

function form(...files: readonly (readonly [string, Uint8Array])[]): FormData {
  const data = new FormData();
  for (const [name, bytes] of files) data.append('image', new Blob([Uint8Array.from(bytes)]), name);
  return data;
}

const url = (path: string): string => `${service.address}${path}`;
const post = (path: string, body: FormData): Promise<Response> => fetch(url(path), { method: 'POST', body });
const postImage = (path: string, body: Uint8Array, type = 'image/png'): Promise<Response> =>
  fetch(url(path), { method: 'POST', body: Uint8Array.from(body), headers: { 'content-type': type } });
const score = '/v1/detectors/sample/score';
const localize = '/v1/detectors/sample/localize';

async function problem(response: Response): Promise<{ status: number; detail: string; type: string }> {
  t.match(response.headers.get('content-type'), /application\/problem\+json/);
  return (await response.json()) as { status: number; detail: string; type: string };
}

t.test(
  'an image as the body gets a score, a verdict, the contributions of layers and the peak of its map',
  async (t) => {
    const response = await postImage(`${score}?map=always`, good);
    t.equal(response.status, 200);
    const { detector, results } = (await response.json()) as Answer;
    t.equal(detector, 'sample');
    t.match(results, [{ width: 256, verdict: 'good' }]);
    const [result] = results;
    t.strictSame(
      result?.layers.map(({ layer }) => layer),
      ['stage2/4x4', 'stage5/4x4', 'head/2x2', 'stage2+stage3/windows'],
    );
    t.strictSame(
      result?.layers.map(({ meaning }) => meaning),
      ['texture', 'structure', 'structure', 'texture'],
    );
    const sum = result?.layers.reduce((whole, { contribution }) => whole + contribution, 0) ?? Number.NaN;
    t.ok(Math.abs(sum - (result?.score ?? 0)) < 1e-3, 'the contributions add up to the score');
    t.ok((result?.peak ?? Number.NaN) > 0);
  },
);

t.test('the examples of the package get the verdicts in their names', async (t) => {
  for (const [name, verdict] of [
    ['good-1.png', 'good'],
    ['defect-1.png', 'anomalous'],
  ] as const) {
    const response = await postImage(score, await readFile(new URL(`examples/${name}`, root)));
    t.match((await response.json()) as Answer, { results: [{ verdict }] }, name);
  }
});

t.test('one bad image among several fails alone, in its place', async (t) => {
  const response = await post(score, form(['a.png', good], ['b.png', Buffer.from('text')], ['c.png', good]));
  t.equal(response.status, 200);
  const { results } = (await response.json()) as Answer;
  t.match(results, [{ name: 'a.png' }, { name: 'b.png', error: { status: 415 } }, { name: 'c.png' }]);
  t.equal(results[0]?.score, results[2]?.score, 'the same image, the same score');
});

t.test('every picture has the size of the image', async (t) => {
  const image = await picturePng(90, 70);
  for (const as of ['heatmap', 'overlay', 'mask']) {
    const response = await postImage(`${localize}?as=${as}`, image);
    t.equal(response.headers.get('content-type'), 'image/png', as);
    t.match(await sharp(Buffer.from(await response.arrayBuffer())).metadata(), { width: 90, height: 70 }, as);
    t.ok(response.headers.get('mkd-result-id'));
  }
  const map = Buffer.from(await (await postImage(`${localize}?as=map`, image)).arrayBuffer());
  t.match(map.toString('latin1', 0, 100), /'shape': \(70, 90\)/);
  t.equal(map.length, 10 + map.readUInt16LE(8) + 70 * 90 * 4);
});

t.test('each localization method gives a different, deterministic map', async (t) => {
  const maps = new Set<string>();
  for (const method of ['gradient', 'guided', 'smoothgrad', 'gradient']) {
    const response = await postImage(`${localize}?as=map&method=${method}`, good);
    maps.add(Buffer.from(await response.arrayBuffer()).toString('base64'));
  }
  t.equal(maps.size, 3);
});

t.test('a result can be fetched later, and its map is computed then', async (t) => {
  const { results } = (await (await postImage(score, good)).json()) as Answer;
  const [result] = results;
  const stored = (await (await fetch(url(`/v1/results/${result?.id}`))).json()) as {
    result: { score: number };
  };
  t.equal(stored.result.score, result?.score);
  const later = await fetch(url(result?.links.heatmap as string));
  const atOnce = await postImage(localize, good);
  t.ok(sameBytes(Buffer.from(await later.arrayBuffer()), Buffer.from(await atOnce.arrayBuffer())));
});

t.test('several images get scores and links, but not a single picture', async (t) => {
  const two = () => form(['a.png', good], ['b.png', good]);
  const refused = await post(localize, two());
  t.equal(refused.status, 400);
  t.match(await problem(refused), { detail: /use as=json/ });
  const answered = await post(`${localize}?as=json`, two());
  t.equal(((await answered.json()) as Answer).results.length, 2);
});

t.test('a malformed request gets a problem that says what would be right', async (t) => {
  const jpeg = await pictureJpeg(600, 400);
  const huge = await sharp({ create: { width: 16_000, height: 16_000, channels: 3, background: '#888' } })
    .png()
    .toBuffer();
  const parts = form(...Array.from({ length: 1000 }, (_, i) => [`${i}.png`, Buffer.from('x')] as const));
  const nothing = new FormData();
  nothing.append('note', 'no image here');
  const cases: [string, Promise<Response>, number, RegExp][] = [
    ['an empty body', fetch(url(score), { method: 'POST' }), 400, /no image; send multipart/],
    ['an empty image', postImage(score, new Uint8Array()), 400, /no image|empty/],
    [
      'the wrong type',
      postImage(score, good, 'application/json'),
      415,
      /'application\/json' is not supported; send/,
    ],
    [
      'a truncated JPEG',
      postImage(score, jpeg.subarray(0, jpeg.length / 2), 'image/jpeg'),
      422,
      /damaged or incomplete/,
    ],
    [
      'an SVG',
      postImage(score, Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')),
      415,
      /not a JPEG, PNG, WebP or TIFF/,
    ],
    ['256 megapixels', postImage(score, huge), 413, /16000 x 16000 = 256 megapixels; at most 50/],
    ['a text named .png', post(score, form(['a.png', Buffer.from('hello')])), 415, /not a JPEG, PNG/],
    ['no image part', post(score, nothing), 400, /no image/],
    ['1,000 parts', post(score, parts), 413, /at most 32 images/],
    [
      'a broken multipart body',
      postImage(score, Buffer.from('--x\r\nrubbish'), 'multipart/form-data; boundary=x'),
      400,
      /multipart/,
    ],
    [
      'an unknown detector',
      postImage('/v1/detectors/nope/score', good),
      404,
      /'nope'; available: 'sample', 'sample-paper'/,
    ],
    [
      'an unknown as',
      postImage(`${localize}?as=poem`, good),
      400,
      /'as' in the query must be one of heatmap, overlay, mask, map, json, not 'poem'/,
    ],
    ['an unknown method', postImage(`${localize}?method=magic`, good), 400, /gradient, smoothgrad, guided/],
    [
      'an unknown parameter',
      postImage(`${localize}?size=3`, good),
      400,
      /'size' is unknown in the query; available: as,/,
    ],
    ...['Infinity', '-Infinity', '1e999', 'NaN', 'low'].map(
      (threshold): [string, Promise<Response>, number, RegExp] => [
        `the threshold ${threshold}`,
        postImage(`/v1/detectors/sample/score?threshold=${threshold}`, good),
        400,
        /'threshold' in the query must be/,
      ],
    ),
    ['an unknown result', fetch(url('/v1/results/abc')), 404, /no result 'abc'/],
    [
      'another method',
      fetch(url('/v1/detectors/sample/score')),
      405,
      /does not support GET; it supports POST/,
    ],
    ['an unknown route', fetch(url('/v3/nothing')), 404, /docs lists/],
    ['a path that cannot be decoded', fetch(url('/v1/detectors/%ff')), 400, /%ff/],
    [
      'a compressed body',
      fetch(url(score), {
        method: 'POST',
        body: Uint8Array.from(good),
        headers: { 'content-type': 'image/png', 'content-encoding': 'gzip' },
      }),
      415,
      /content encoding 'gzip' is not supported/,
    ],
  ];
  for (const [what, request, status, detail] of cases) {
    const response = await request;
    t.equal(response.status, status, what);
    const body = await problem(response);
    t.equal(body.status, status);
    t.match(body.detail, detail, what);
  }
});

t.test('a request can set its own threshold; score and p-value do not change', async (t) => {
  interface Judged {
    results: [{ score: number; threshold: number; pValue: number; verdict: string }];
  }
  const ask = async (query: string): Promise<Judged['results'][0]> =>
    ((await (await postImage(`${score}${query}`, good)).json()) as Judged).results[0];
  const own = await ask('');
  t.equal(own.verdict, 'good');
  t.ok(own.pValue > 0 && own.pValue <= 1);
  const strict = await ask(`?threshold=${own.score - 1}`);
  t.equal(strict.verdict, 'anomalous');
  t.equal(strict.threshold, own.score - 1);
  t.equal(strict.score, own.score);
  t.equal(strict.pValue, own.pValue);
  const refused = await problem(await postImage(`${score}?threshold=low`, good));
  t.equal(refused.status, 400);
  t.match(refused.detail, /threshold/);
});

t.test('a map includes regions, and links keep the requested method', async (t) => {
  const defect = await readFile(new URL('examples/defect-2.png', root));
  const response = await postImage('/v1/detectors/sample/localize?as=json&method=guided', defect);
  const { results } = (await response.json()) as {
    results: [
      { links: Record<string, string>; localization: { method: string; regions: { peak: number }[] } },
    ];
  };
  const [{ links, localization }] = results;
  t.equal(localization.method, 'guided');
  t.ok(localization.regions.length > 0);
  t.ok(localization.regions.every(({ peak }) => peak >= 1));
  t.match(links.heatmap, /\/heatmap\?method=guided$/);
  t.equal((await fetch(url(links.heatmap ?? ''))).status, 200);
});

t.test('the documentation opens in a browser over plain HTTP', async (t) => {
  const response = await fetch(url('/docs'));
  t.equal(response.status, 200);
  t.notMatch(response.headers.get('content-security-policy') ?? '', /upgrade-insecure/);
  t.match(response.headers.get('content-security-policy'), /default-src 'self'/);
});

t.test('simultaneous requests share batches, and each gets its own score', async (t) => {
  const defect = await readFile(new URL('examples/defect-2.png', root));
  const alone = await Promise.all(
    [good, defect].map(
      async (image) => ((await (await postImage(score, image)).json()) as Answer).results[0]?.score,
    ),
  );
  const before = await batches();
  const images = Array.from({ length: 24 }, (_, index) => (index % 2 === 0 ? good : defect));
  const scores = await Promise.all(
    images.map(async (image) => ((await (await postImage(score, image)).json()) as Answer).results[0]?.score),
  );
  const largest = Math.max(...(alone as number[]));
  for (const [index, own] of scores.entries()) {
    const expected = alone[index % 2] as number;
    // As in the self-test: a good image scores near 0, where a relative difference is meaningless.
    t.ok(Math.abs((own as number) - expected) < 1e-4 * largest, `image ${index}: ${own}`);
  }
  const after = await batches();
  t.equal(after.images - before.images, 24);
  t.ok(after.count - before.count <= 12, `${after.count - before.count} batches`);
});

t.test('maps are computed with the score on request: of anomalous images, or of all', async (t) => {
  const defect = await readFile(new URL('examples/defect-2.png', root));
  const localized = async (image: Uint8Array, map: string) => {
    const { results } = (await (await postImage(`${score}?map=${map}`, image)).json()) as {
      results: [{ localization?: { regions: unknown[] } }];
    };
    return results[0].localization !== undefined;
  };
  t.equal(await localized(good, 'never'), false);
  t.equal(await localized(good, 'anomalous'), false);
  t.equal(await localized(defect, 'anomalous'), true);
  t.equal(await localized(good, 'always'), true);
});

t.test('an image past its timeout is dropped with a 504 and Retry-After', async (t) => {
  // Enough queued work that a millisecond passes before the image is processed.
  const work = Array.from({ length: 12 }, () => postImage(`${localize}?as=json`, good));
  const response = await fetch(url(score), {
    method: 'POST',
    body: Uint8Array.from(good),
    headers: { 'content-type': 'image/png', 'mkd-timeout-ms': '1' },
  });
  t.ok(Number(response.headers.get('retry-after')) >= 1);
  const { status, detail } = await problem(response);
  t.equal(status, 504);
  t.match(detail, /within 1 ms/);
  for (const answer of await Promise.all(work)) t.equal(answer.status, 200);
  const slow = await fetch(url(`${localize}?method=smoothgrad`), {
    method: 'POST',
    body: Uint8Array.from(good),
    headers: { 'content-type': 'image/png', 'mkd-timeout-ms': '800' },
  });
  t.match(await problem(slow), { status: 504, detail: /within 800 ms/ }, 'also during inference');
  const wrong = await fetch(url(score), {
    method: 'POST',
    body: Uint8Array.from(good),
    headers: { 'content-type': 'image/png', 'mkd-timeout-ms': 'soon' },
  });
  t.match(await problem(wrong), { status: 400, detail: /mkd-timeout-ms/ });
});

t.test('a full queue returns 503 with Retry-After', async (t) => {
  const small = await startService({ device: { maxBatchSize: 1 }, app: { queue: { maxQueueLength: 2 } } });
  t.teardown(() => small.stop());
  const answers = await Promise.all(
    Array.from({ length: 12 }, () =>
      fetch(`${small.address}${score}`, {
        method: 'POST',
        body: Uint8Array.from(good),
        headers: { 'content-type': 'image/png' },
      }),
    ),
  );
  const refused = answers.filter(({ status }) => status === 503);
  t.ok(refused.length > 0 && refused.length < 12, `${refused.length} refused`);
  t.ok(answers.every(({ status }) => status === 200 || status === 503));
  for (const answer of refused) t.ok(Number(answer.headers.get('retry-after')) >= 1);
});

/** Returns the number of batches so far, and of images in them. */
async function batches(): Promise<{ count: number; images: number }> {
  const text = await (await fetch(url('/metrics'))).text();
  const values = text
    .split('\n')
    .flatMap((line) => (line.startsWith('mkd_') ? [line.split(' ').at(-1)] : []));
  t.strictSame(
    values.filter((value) => Number(value) !== Number(Number(value).toPrecision(12))),
    [],
    'no digits that nothing was measured with',
  );
  const read = (name: string): number =>
    Number(new RegExp(`^mkd_batch_images_${name} (.+)$`, 'm').exec(text)?.[1]);
  return { count: read('count'), images: read('sum') };
}

t.test('every metric in the alert rules and the dashboard exists', async (t) => {
  const text = await (await fetch(url('/metrics'))).text();
  const port = await freePort();
  const worker = await serveOperations(port, () => true);
  const ofWorker = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  await worker.close();
  const known = new Set([...(text + ofWorker).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
  for (const file of ['docker/alerts.yml', 'docker/grafana/dashboards/mkd.json']) {
    const asked = new Set((await readFile(new URL(file, root), 'utf8')).match(/\bmkd_[a-z_]+/g));
    t.ok(asked.size > 3, `${file} uses ${asked.size} metrics`);
    for (const name of asked) t.ok(known.has(name.replace(/_(bucket|sum|count)$/, '')), `${file}: ${name}`);
  }
  t.match(text, /route="\/v1\/detectors\/:detector\/score"/, 'as written in the rules');
});

t.test('detectors are listed with provider, calibration and manifest', async (t) => {
  const list = (await (await fetch(url('/v1/detectors'))).json()) as object;
  t.match(list, { provider: 'cpu', detectors: [{ name: 'sample' }, { name: 'sample-paper' }], refused: [] });
  const info = (await (await fetch(url('/v1/detectors/sample'))).json()) as {
    manifest: { calibration: { scores: number[]; threshold: number } };
  };
  const { scores, threshold } = info.manifest.calibration;
  const above = scores.filter((score) => score > threshold).length;
  t.equal(above, Math.floor(0.05 * (scores.length + 1)) - 1, 'as many as the promise allows');
});

t.test('health, metrics and documentation respond', async (t) => {
  t.match(await (await fetch(url('/health/live'))).json(), { status: 'live' });
  t.match(await (await fetch(url('/health/ready'))).json(), { status: 'ready', provider: 'cpu' });
  const metrics = await (await fetch(url('/metrics'))).text();
  for (const name of [
    'mkd_requests_total{route="/v1/detectors/:detector/score",method="POST",status="200"}',
    'mkd_decode_seconds_count',
    'mkd_queue_seconds_count',
    'mkd_inference_seconds_count',
    'mkd_render_seconds_count',
    'mkd_verdicts_total{detector="sample",verdict="good"}',
    'mkd_errors_total{kind="damaged-image"}',
    'mkd_images_in_flight 0',
    'mkd_provider_info{provider="cpu"} 1',
  ]) {
    t.ok(metrics.includes(name), name);
  }
  t.match(await (await fetch(url('/docs/'))).text(), /swagger-ui/);
});

t.test('openapi.yaml in the repository matches the schemas', async (t) => {
  const served = await (await fetch(url('/openapi.yaml'))).text();
  t.equal(served, await readFile(new URL('openapi.yaml', root), 'utf8'), 'npm run openapi regenerates it');
});

t.test('the event loop never waits for inference', async (t) => {
  const busy = Promise.all(Array.from({ length: 6 }, () => post(localize, form(['a.png', good]))));
  let finished = false;
  void busy.then(() => {
    finished = true;
  });
  for (let probe = 0; probe < 10; probe++) await (await fetch(url('/health/live'))).arrayBuffer();
  t.notOk(finished, 'ten probes are answered while images are in inference');
  await busy;
});

t.test('until detectors are verified, the service is live but not ready', async (t) => {
  const app = await buildApp();
  t.equal((await app.inject('/health/live')).statusCode, 200);
  t.equal((await app.inject('/health/ready')).statusCode, 503);
  const answer = await app.inject({
    method: 'POST',
    url: score,
    payload: Buffer.from('x'),
    headers: { 'content-type': 'image/png' },
  });
  t.equal(answer.statusCode, 503);
  t.equal(answer.headers['retry-after'], '1');
  await app.close();
});

t.test('a folder without a usable detector stops the start, with a reason', async (t) => {
  const options = { experts: [], device: { provider: 'cpu' }, host: '127.0.0.1', port: 0 } as const;
  const broken = t.testdir({ bad: { 'manifest.json': '{"schema": "mkd.detector/9"}' } });
  await t.rejects(serve({ ...options, detectors: broken }), { message: /schema 'mkd.detector\/9'/ });
  await t.rejects(serve({ ...options, detectors: join(broken, 'nowhere') }), { message: /does not exist/ });
});

t.test('a service with an empty folder is ready for the first upload', async (t) => {
  const options = { experts: [], device: { provider: 'cpu' }, host: '127.0.0.1', port: 0 } as const;
  const service = await serve({ ...options, detectors: t.testdir(), app: { logger: false } });
  t.match(await service.app.inject('/health/ready'), { statusCode: 200 });
  t.match((await service.app.inject('/v1/detectors')).json(), { detectors: [], refused: [] });
  await service.stop();
});
