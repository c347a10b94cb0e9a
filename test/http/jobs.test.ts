/** Detectors made over HTTP: from photos to a version that serves, also through a restart. */
import { once } from 'node:events';
import { readdir, rename } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import {
  hashKey,
  makeKey,
  type RunningService,
  type ServeOptions,
  writeKeyFile,
} from '../../src/http/index.js';
import { copyDetector, tarOf } from '../support/detectors.js';
import { formOf, samplePhoto, samplePhotos } from '../support/photos.js';
import { startService } from '../support/service.js';

interface Job {
  readonly id: string;
  readonly state: string;
  readonly error?: string;
  readonly photos: readonly { readonly name: string; readonly state: string; readonly reason?: string }[];
  readonly outcome?: { readonly version: string; readonly images: number; readonly threshold: number };
}

const local = { app: { localAdmin: true } } as const;

async function started(t: Test, options: Partial<ServeOptions> = local, root = t.testdir()) {
  const detectors = join(root, 'detectors');
  await copyDetector(join(detectors, 'sample'));
  const service = await startService({ detectors, ...options });
  t.teardown(() => service.stop());
  return { detectors, service };
}

async function post(
  service: RunningService,
  path: string,
  body?: FormData | Uint8Array<ArrayBuffer> | string,
  type?: string,
) {
  const answer = await fetch(`${service.address}${path}`, {
    method: 'POST',
    ...(body === undefined ? {} : { body }),
    ...(type === undefined ? {} : { headers: { 'content-type': type } }),
  });
  return { status: answer.status, job: (await answer.json()) as Job & { readonly detail?: string } };
}

async function jobOf(service: RunningService, id: string): Promise<Job> {
  return (await (await fetch(`${service.address}/v1/jobs/${id}`)).json()) as Job;
}

/** Follows a job by its events until it has ended. */
async function ended(service: RunningService, id: string) {
  const answer = await fetch(`${service.address}/v1/jobs/${id}/events`);
  const events = (await answer.text())
    .split('\n\n')
    .filter((event) => event.startsWith('event: job\ndata: '));
  const jobs = events.map((event) => JSON.parse(event.slice('event: job\ndata: '.length)) as Job);
  return { type: answer.headers.get('content-type'), jobs, last: await jobOf(service, id) };
}

const scored = async (service: RunningService, detector: string, photo: Buffer) => {
  const answer = await fetch(`${service.address}/v1/detectors/${detector}/score`, {
    method: 'POST',
    body: Uint8Array.from(photo),
    headers: { 'content-type': 'image/png' },
  });
  const { results } = (await answer.json()) as { results: { id: string; verdict: string }[] };
  return { id: '', verdict: '', ...results[0] };
};

const verdictOf = async (service: RunningService, detector: string, photo: Buffer): Promise<string> =>
  (await scored(service, detector, photo)).verdict;

const keptBy = async (service: RunningService, detector: string): Promise<number> => {
  const answer = await fetch(`${service.address}/v1/detectors/${detector}`);
  return ((await answer.json()) as { photosKept: number }).photosKept;
};

const good = await samplePhotos(8);
const crack = await samplePhoto(1, 12, 'crack');

t.test('photos become a detector that serves; photos are added and taken back', async (t) => {
  const { service, detectors } = await started(t);
  const form = formOf(good);
  form.append('photo', new Blob([Uint8Array.from(good[0] as Buffer)]), 'same.png');
  form.append('photo', new Blob(['text']), 'notes.jpg');
  form.append('photo', new Blob([Uint8Array.from(await samplePhoto(20))]), '../../<img src=x>.png');
  const { status, job } = await post(service, '/v1/detectors/flange/distillations', form);
  t.equal(status, 202);
  t.match(job.photos.slice(-3), [
    { name: 'same.png', state: 'copy', reason: 'it is a copy of 0.png' },
    { name: 'notes.jpg', state: 'unusable', reason: /not a JPEG, PNG, WebP or TIFF/ },
    { name: '_img src_x_.png', state: 'used' },
  ]);
  const { type, jobs, last } = await ended(service, job.id);
  t.match(type, /text\/event-stream/);
  t.match(jobs.at(-1), { state: 'done', photos: { used: 9, copies: 1, unusable: 1 } });
  t.match(last.outcome, { images: 9 });
  t.equal(await verdictOf(service, 'flange', crack), 'anomalous');
  t.strictSame(await readdir(join(detectors, '.jobs', job.id)), ['job.json'], 'its photos are gone');

  // The good photo that is most like one that is scored.
  const nearest = async (detector: string, photo: Buffer): Promise<Response> => {
    const { id } = await scored(service, detector, photo);
    return fetch(`${service.address}/v1/results/${id}/nearest`);
  };
  const same = await nearest('flange', good[3] as Buffer);
  t.match([same.status, same.headers.get('mkd-photo')], [200, '3.png']);
  t.match(await sharp(await same.arrayBuffer()).metadata(), { format: 'png', width: 256, height: 256 });
  t.equal(await keptBy(service, 'flange'), 9);
  const unknown = await nearest('sample', crack);
  t.match(await unknown.json(), { status: 404, type: 'urn:mkd:problem:no-photos' });
  t.equal(await keptBy(service, 'sample'), 0);

  // Whoever must not keep photos deletes them, also while the service runs.
  const archive = join(
    detectors,
    'flange',
    (await readdir(join(detectors, 'flange'))).find((name) => name.endsWith('.tar')) ?? '',
  );
  await rename(archive, `${archive}.away`);
  t.match(await (await nearest('flange', good[3] as Buffer)).json(), {
    status: 404,
    type: 'urn:mkd:problem:no-photos',
  });
  t.equal(await keptBy(service, 'flange'), 0);
  await rename(`${archive}.away`, archive);

  // A threshold makes a version from the same photos.
  await fetch(`${service.address}/v1/detectors/flange/threshold`, {
    method: 'PUT',
    body: '{"threshold": 20}',
    headers: { 'content-type': 'application/json' },
  });
  const added = await post(
    service,
    '/v1/detectors/flange/distillations?add=true&remove=0.png',
    Uint8Array.from(
      await tarOf({
        'more/a.png': await samplePhoto(30),
        'more/b.png': await samplePhoto(31),
        '.DS_Store': crack,
      }),
    ),
    'application/x-tar',
  );
  t.match((await ended(service, added.job.id)).last, { state: 'done', outcome: { images: 10 } });
  const info = (await (await fetch(`${service.address}/v1/detectors/flange`)).json()) as {
    versions: { version: string; current: boolean }[];
  };
  const kept = async () =>
    (await readdir(join(detectors, 'flange'))).filter((name) => name.endsWith('.tar')).length;
  for (const { version } of info.versions.filter(({ current }) => !current)) {
    t.equal(await kept(), 2, 'the photos of all versions are kept');
    await fetch(`${service.address}/v1/detectors/flange/versions/${version}`, { method: 'DELETE' });
  }
  t.equal(await kept(), 1, 'until no version was made from them');

  const { jobs: all } = (await (await fetch(`${service.address}/v1/jobs`)).json()) as { jobs: Job[] };
  t.strictSame(
    all.map(({ id }) => id),
    [added.job.id, job.id],
    'the newest first',
  );
});

t.test('photos may come in several requests, and a region of interest with them', async (t) => {
  const { service } = await started(t);
  const { job } = await post(service, '/v1/detectors/lid/distillations?start=false&falseAlarmRate=0.2');
  t.equal(job.state, 'collecting');
  for (const part of [good.slice(0, 6), good.slice(6)]) {
    t.equal((await post(service, `/v1/jobs/${job.id}/photos`, formOf(part))).status, 200);
  }
  const names = (await jobOf(service, job.id)).photos.map(({ name }) => name);
  t.match(names.slice(5, 8), ['5.png', '0 (2).png', '1 (2).png'], 'names of several folders do not collide');
  const region = new FormData();
  region.append('region', new Blob(['{"width": 256}']), 'region.json');
  const wrong = await post(service, `/v1/jobs/${job.id}/photos`, region);
  t.match(wrong, { status: 415, job: { detail: /the region of interest is not valid/ } });
  const polygon = [
    [128, 0],
    [256, 0],
    [256, 256],
    [128, 256],
  ];
  region.set(
    'region',
    new Blob([JSON.stringify({ width: 256, height: 256, polygons: [polygon] })]),
    'r.json',
  );
  await post(service, `/v1/jobs/${job.id}/photos`, region);
  t.match(await post(service, `/v1/jobs/${job.id}/start`), { status: 200, job: { hasRegion: true } });
  t.match(await post(service, `/v1/jobs/${job.id}/start`), { status: 409, job: { detail: /starts once/ } });
  t.match((await ended(service, job.id)).last, { state: 'done' });
  const info = (await (await fetch(`${service.address}/v1/detectors/lid`)).json()) as object;
  t.match(info, { manifest: { regionOfInterest: { share: 0.5 }, calibration: { falseAlarmRate: 0.2 } } });
});

t.test('jobs run one at a time, are canceled, and fail with a reason', async (t) => {
  const { service } = await started(t);
  const few = await post(service, '/v1/detectors/few/distillations', formOf(good.slice(0, 3)));
  const long = await post(service, '/v1/detectors/long/distillations', formOf(good));
  const later = await post(service, '/v1/detectors/later/distillations', formOf(good));
  t.equal(later.job.state, 'waiting');
  const remove = (id: string) => fetch(`${service.address}/v1/jobs/${id}`, { method: 'DELETE' });
  t.equal((await remove(later.job.id)).status, 204);
  t.match(await jobOf(service, later.job.id), { state: 'canceled' });
  t.match((await ended(service, few.job.id)).last, {
    state: 'failed',
    error: '3 images are too few; at least 8 are needed',
  });
  while ((await jobOf(service, long.job.id)).state !== 'running') await wait(50);
  await remove(long.job.id);
  t.match((await ended(service, long.job.id)).last, { state: 'canceled' });
  t.equal((await fetch(`${service.address}/v1/detectors/long`)).status, 404, 'nothing was made');
  await remove(long.job.id);
  t.equal((await fetch(`${service.address}/v1/jobs/${long.job.id}`)).status, 404, 'it is forgotten');
});

t.test('a job goes on when the service starts again', async (t) => {
  const { service, detectors } = await started(t);
  const { job } = await post(service, '/v1/detectors/flange/distillations', formOf(good));
  const events = ended(service, job.id).catch(() => undefined);
  while ((await jobOf(service, job.id)).state !== 'running') await wait(20);
  await wait(300);
  const began = performance.now();
  await service.stop();
  t.ok(performance.now() - began < 10_000, 'who follows it does not hold up the stop');
  await events;
  const again = await startService({ detectors, ...local });
  t.teardown(() => again.stop());
  t.match((await ended(again, job.id)).last, { state: 'done', outcome: { images: 8 } });
  t.equal(await verdictOf(again, 'flange', crack), 'anomalous');
});

t.test('services on one folder leave each other their jobs, and take over what one has left', async (t) => {
  const { service, detectors } = await started(t);
  const { job } = await post(service, '/v1/detectors/flange/distillations', formOf(good));
  while ((await jobOf(service, job.id)).state !== 'running') await wait(20);
  const other = await startService({ detectors, ...local, jobs: { adoptEveryMs: 100 } });
  t.teardown(() => other.stop());
  await wait(300);
  t.equal((await fetch(`${other.address}/v1/jobs/${job.id}`)).status, 404, 'it is in work');
  await service.stop();
  while ((await fetch(`${other.address}/v1/jobs/${job.id}`)).status === 404) await wait(50);
  t.match((await ended(other, job.id)).last, { state: 'done', outcome: { images: 8 } });
});

t.test('what cannot be done is refused, and leaves no job', async (t) => {
  const { service } = await started(t, { ...local, jobs: { maxBytes: 300_000, maxPhotos: 4 } });
  for (const [path, body, status, detail] of [
    ['/v1/detectors/flange/distillations', undefined, 400, /no photo that can be used/],
    ['/v1/detectors/none/distillations?add=true', formOf(good), 404, /no detector 'none'/],
    ['/v1/detectors/flange/distillations?remove=a.png', formOf(good), 400, /pass add=true with it/],
    ['/v1/detectors/.x/distillations', formOf(good), 422, /not a valid detector name/],
    ['/v1/detectors/flange/distillations?foo=1', formOf(good), 400, /'foo' is unknown in the query/],
    ['/v1/detectors/flange/distillations', formOf(good.slice(0, 4)), 413, /more than 300000 bytes together/],
    ['/v1/jobs/none/start', undefined, 404, /there is no job 'none'/],
  ] as const) {
    t.match(await post(service, path, body), { status, job: { detail } }, path);
  }
  const small = new FormData();
  for (let index = 0; index < 5; index++) small.append('photo', new Blob([`no image ${index}`]), 'a.png');
  t.match(await post(service, '/v1/detectors/flange/distillations', small), {
    status: 413,
    job: { detail: /at most 4 photos/ },
  });
  const broken = await post(service, '/v1/detectors/flange/distillations', 'no archive', 'application/x-tar');
  t.match(broken, { status: 400, job: { detail: /the archive cannot be read/ } });
  t.match(await (await fetch(`${service.address}/v1/jobs`)).json(), { jobs: [] });
});

t.test('without keys only this machine itself makes detectors, if that was allowed', async (t) => {
  const { service } = await started(t);
  const path = '/v1/detectors/flange/distillations?start=false';
  const from = async (headers: Record<string, string>): Promise<number> =>
    (await fetch(`${service.address}${path}`, { method: 'POST', headers })).status;
  t.equal(await from({}), 202);
  t.equal(await from({ origin: service.address }), 202, 'the page itself');
  t.equal(await from({ origin: 'http://elsewhere.example' }), 403, 'a page of another origin');
  t.equal(await from({ origin: 'null' }), 403);
  t.equal(await from({ 'x-forwarded-for': '10.0.0.9' }), 403, 'through a proxy');
  const named = httpRequest(`${service.address}${path}`, {
    method: 'POST',
    headers: { host: 'elsewhere.example' },
  });
  named.end();
  const [answer] = (await once(named, 'response')) as [IncomingMessage];
  answer.resume();
  t.equal(answer.statusCode, 403, 'by a name that leads here');
  const other = await started(t, {}, t.testdir());
  t.match(await post(other.service, path), { status: 403, job: { detail: /start it with --local-admin/ } });
});

t.test('with keys an admin makes detectors, and others see how far they are', async (t) => {
  const root = t.testdir();
  const path = join(root, 'keys.json');
  const [admin, line] = [makeKey(), makeKey()];
  await writeKeyFile(path, [
    { name: 'owner', scopes: ['admin'], sha256: hashKey(admin) },
    { name: 'line', scopes: ['score'], sha256: hashKey(line) },
  ]);
  const { service } = await started(t, { keys: path, ...local }, root);
  const status = async (key: string, method: string, route: string): Promise<number> =>
    (await fetch(`${service.address}${route}`, { method, headers: { 'x-api-key': key } })).status;
  const route = '/v1/detectors/flange/distillations?start=false';
  t.equal(await status('', 'POST', route), 401, 'also on this machine');
  t.equal(await status(line, 'POST', route), 403);
  t.equal(await status(admin, 'POST', route), 202);
  t.equal(await status(line, 'GET', '/v1/jobs'), 200);
});
