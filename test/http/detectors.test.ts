/** An administrator uploads, activates, rolls back and retires detectors while the service runs. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { RunningService } from '../../src/http/index.js';
import { hashKey, makeKey, writeKeyFile } from '../../src/http/plugins/keys.js';
import { copyDetector, filesOf, tarOf } from '../support/detectors.js';
import { startService } from '../support/service.js';

const keys = { admin: makeKey(), score: makeKey() };
const image = await readFile(new URL('../../../examples/defect-1.png', import.meta.url));
const folder = t.testdir();
let service: RunningService;
let first: string;
let second: string;

t.before(async () => {
  first = await copyDetector(join(folder, 'detectors/flange'));
  second = await copyDetector(join(folder, 'new'), 0.5);
  await writeKeyFile(join(folder, 'keys.json'), [
    { name: 'admin', scopes: ['admin'], sha256: hashKey(keys.admin) },
    { name: 'line', scopes: ['score'], sha256: hashKey(keys.score) },
  ]);
  service = await startService({ detectors: join(folder, 'detectors'), keys: join(folder, 'keys.json') });
});
t.teardown(() => service.stop());

interface Answer {
  readonly status: number;
  readonly body: {
    readonly version: string;
    readonly current: boolean;
    readonly detail: string;
    readonly versions: readonly { readonly version: string; readonly current: boolean }[];
    readonly results: readonly { readonly threshold: number }[];
  };
}

async function ask(method: string, path: string, body?: Uint8Array, type?: string): Promise<Answer> {
  const response = await fetch(`${service.address}/v1/detectors${path}`, {
    method,
    headers: { authorization: `Bearer ${keys.admin}`, ...(type ? { 'content-type': type } : {}) },
    ...(body ? { body: Uint8Array.from(body) } : {}),
  });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Answer['body'] };
}

const score = (path = '/flange'): Promise<Answer> => ask('POST', `${path}/score`, image, 'image/png');
const upload = async (query = ''): Promise<Answer> =>
  ask(
    'POST',
    `/flange/versions${query}`,
    await tarOf(await filesOf(join(folder, 'new'))),
    'application/x-tar',
  );

t.test('only an admin key changes detectors', async (t) => {
  for (const [method, path] of [
    ['POST', '/flange/versions'],
    ['POST', `/flange/versions/${first}/activate`],
    ['POST', '/flange/rollback'],
    ['PUT', '/flange/threshold'],
    ['DELETE', `/flange/versions/${first}`],
    ['DELETE', '/flange'],
  ] as const) {
    const response = await fetch(`${service.address}/v1/detectors${path}`, {
      method,
      headers: { 'x-api-key': keys.score },
    });
    t.equal(response.status, 403, `${method} ${path}`);
  }
});

t.test('a version is uploaded, serves, is rolled back and retired, and no request fails', async (t) => {
  let going = true;
  const versions = new Set<string>();
  const load = Array.from({ length: 4 }, async () => {
    for (; going; ) {
      const { status, body } = await score();
      if (status !== 200) t.fail(`answered ${status}: ${body.detail}`);
      versions.add(body.version);
    }
  });
  t.match(await upload(), { status: 201, body: { version: second, current: true } });
  const before = (await ask('GET', `/flange?version=${first}`)).body;
  t.match(before.versions, [
    { version: second, current: true },
    { version: first, current: false },
  ]);
  const [now, then] = [
    await score(),
    await ask('POST', `/flange/score?version=${first}`, image, 'image/png'),
  ];
  t.equal(now.body.version, second);
  t.equal(then.body.version, first, 'both versions can be used');
  t.ok((now.body.results[0]?.threshold ?? 0) > (then.body.results[0]?.threshold ?? 0));
  t.match(await upload(), { status: 200 }, 'a repeated upload adds nothing');
  t.match(await ask('POST', '/flange/rollback'), { status: 200, body: { version: first } });
  t.match(await ask('DELETE', `/flange/versions/${first}`), { status: 409 }, 'not while it serves');
  t.match(await ask('POST', `/flange/versions/${second}/activate`), { body: { version: second } });
  t.match(await ask('DELETE', `/flange/versions/${first}`), { status: 204 });
  t.match(await ask('POST', '/flange/rollback'), { status: 409 });
  t.match(await ask('GET', `/flange?version=${first}`), { status: 404 });
  going = false;
  await Promise.all(load);
  t.same([...versions].sort(), [first, second].sort());
});

t.test('a threshold is set by hand, serves at once, and can be taken back', async (t) => {
  const { version: before } = (await ask('GET', '/flange')).body;
  const put = (body: string): Promise<Answer> =>
    ask('PUT', '/flange/threshold', Buffer.from(body), 'application/json');
  const set = await put('{"threshold":70}');
  // 120 good images, none of them above it.
  t.match(set, { status: 200, body: { detector: 'flange', threshold: 70, falseAlarmRate: 1 / 121 } });
  t.not(set.body.version, before);
  const { body } = await score();
  t.equal(body.version, set.body.version);
  t.match(body.results, [{ threshold: 70, verdict: 'good' }]);
  for (const [wrong, why] of [
    ['{"threshold":-100}', /would call all 120 good images anomalous; they score -\d/],
    ['{"threshold":1e10}', /threshold.*1000000000/],
    ['{"threshold":null}', /an object with a number, such as/],
    ['{"threshold":"7"}', /an object with a number, such as/],
    ['{}', /threshold/],
    ['{"threshold":', /JSON/],
    ['', /body cannot be empty/i],
    ['{"threshold":1,"x":2}', /'x' is unknown/],
  ] as const) {
    t.match(await put(wrong), { status: 400, body: { detail: why } });
  }
  t.match(await ask('PUT', '/none/threshold', Buffer.from('{"threshold":1}'), 'application/json'), {
    status: 404,
  });
  t.match(await ask('POST', '/flange/rollback'), { status: 200, body: { version: before } });
  t.match((await score()).body.results, [{ verdict: 'anomalous' }]);
  t.match(await ask('DELETE', `/flange/versions/${set.body.version}`), { status: 204 });
});

t.test(
  'an upload that is not a detector is refused with a reason, and the old one still serves',
  async (t) => {
    const refused = await ask('POST', '/flange/versions', Buffer.alloc(2000, 'x'), 'application/x-tar');
    t.match(refused, { status: 422, body: { detail: /not a tar archive of a detector/ } });
    t.match(await ask('POST', '/flange/versions'), { status: 400, body: { detail: /application\/x-tar/ } });
    t.match(await ask('POST', '/flange/versions', image, 'image/png'), { status: 422 });
    t.match(await score(), { status: 200, body: { version: second } });
  },
);

t.test('a new detector is added by upload and removed by retiring it', async (t) => {
  const archive = await tarOf(await filesOf(join(folder, 'new')));
  t.match(await ask('POST', '/gear/versions', archive, 'application/x-tar'), { status: 201 });
  t.match(await score('/gear'), { status: 200 });
  const told = async (path: string): Promise<string> => {
    const response = await fetch(`${service.address}${path}`, { headers: { 'x-api-key': keys.admin } });
    return response.text();
  };
  t.match(
    await told('/metrics'),
    /mkd_layer_direction_discrepancy_count\{detector="gear",layer="head\/2x2"\} 1/,
  );
  t.match(await told('/v2/models/stats'), /"gear"/);
  t.match(await ask('DELETE', '/gear'), { status: 204 });
  t.notMatch(await told('/metrics'), /"gear"/, 'an alert about it would never end');
  t.match(await told('/metrics'), /mkd_verdicts_total\{detector="flange"/);
  t.notMatch(await told('/v2/models/stats'), /"gear"/);
  t.match(await score('/gear'), { status: 404, body: { detail: /no detector 'gear'; available: 'flange'/ } });
});
