/** API keys: the file, the ring, and what a service with keys allows. Refusals need no detector. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import t from 'tap';
import {
  type ApiKey,
  buildApp,
  hashKey,
  KeyRing,
  makeKey,
  readKeyFile,
  writeKeyFile,
} from '../../src/http/index.js';

const entry = (name: string, key: string, rest: Partial<ApiKey> = {}): ApiKey => ({
  name,
  scopes: ['score'],
  sha256: hashKey(key),
  ...rest,
});

t.test('keys are long and unique, and stored as hashes in a file that only its owner can read', async (t) => {
  const path = join(t.testdir(), 'keys.json');
  const [one, two] = [makeKey(), makeKey()];
  t.not(one, two);
  t.ok(one.length > 40);
  await writeKeyFile(path, [entry('line-1', one)]);
  t.notMatch(await readFile(path, 'utf8'), one);
  t.equal((await stat(path)).mode & 0o777, 0o600);
  const ring = await KeyRing.open(path);
  t.equal(ring.find(one)?.name, 'line-1');
  t.equal(ring.find(two), undefined);
  t.equal(ring.find(hashKey(one)), undefined, 'the hash is not a key');
  t.equal(ring.find(''), undefined);
});

t.test('an invalid key file is refused with the reason', async (t) => {
  const root = t.testdir({ 'a.json': 'keys', 'b.json': '{"schema":"mkd.keys/1","keys":[{"name":"x y"}]}' });
  await t.rejects(readKeyFile(join(root, 'none')), {
    name: 'KeyFileError',
    message: /mkd keys add creates one/,
  });
  await t.rejects(readKeyFile(join(root, 'a.json')), { message: /is not JSON/ });
  await t.rejects(readKeyFile(join(root, 'b.json')), { message: /is not a key file: \/keys\/0/ });
  await writeKeyFile(join(root, 'c.json'), [entry('same', makeKey()), entry('same', makeKey())]);
  await t.rejects(readKeyFile(join(root, 'c.json')), { message: /two keys with the name same/ });
});

t.test('a service with keys accepts requests with a key of the right scope', async (t) => {
  const path = join(t.testdir(), 'keys.json');
  const [score, metrics, admin] = [makeKey(), makeKey(), makeKey()];
  await writeKeyFile(path, [
    entry('line', score),
    entry('prometheus', metrics, { scopes: ['metrics'] }),
    entry('owner', admin, { scopes: ['admin'] }),
  ]);
  const app = await buildApp({ keys: await KeyRing.open(path) });
  t.teardown(() => app.close());
  const status = async (url: string, headers: Record<string, string> = {}): Promise<number> =>
    (await app.inject({ url, headers })).statusCode;
  const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
  // 503: the key is accepted, but this app has no detectors yet.
  t.equal(await status('/v1/detectors', bearer(score)), 503);
  t.equal(await status('/v1/detectors', { 'x-api-key': score }), 503);
  t.equal(await status('/v1/detectors', bearer(admin)), 503);
  t.equal(await status('/v1/detectors', bearer(metrics)), 403);
  t.equal(await status('/metrics', bearer(metrics)), 200);
  t.equal(await status('/metrics', bearer(score)), 403);
  t.equal(await status('/metrics'), 401);
  for (const open of ['/health/live', '/openapi.yaml']) t.equal(await status(open), 200, open);

  const refused = await app.inject({ url: '/v1/detectors' });
  t.equal(refused.statusCode, 401);
  t.equal(refused.headers['www-authenticate'], 'Bearer');
  t.match(refused.headers['content-type'], 'application/problem+json');
  t.match(refused.json(), { detail: /Authorization: Bearer <key>/ });
  t.match((await app.inject({ url: '/v1/detectors', headers: bearer('mkd_wrong') })).json(), {
    status: 401,
    detail: /API key is unknown/,
  });
  t.match((await app.inject({ url: '/v1/detectors', headers: bearer(metrics) })).json(), {
    detail: 'the key prometheus has scope metrics; this needs score',
  });
});

t.test('a rate limit applies to its key only', async (t) => {
  const path = join(t.testdir(), 'keys.json');
  const [slow, free] = [makeKey(), makeKey()];
  await writeKeyFile(path, [entry('slow', slow, { ratePerMinute: 3 }), entry('free', free)]);
  const app = await buildApp({ keys: await KeyRing.open(path) });
  t.teardown(() => app.close());
  const ask = (key: string) => app.inject({ url: '/v1/detectors', headers: { 'x-api-key': key } });
  for (let request = 0; request < 3; request++) t.equal((await ask(slow)).statusCode, 503);
  const refused = await ask(slow);
  t.equal(refused.statusCode, 429);
  t.ok(Number(refused.headers['retry-after']) >= 1);
  t.match(refused.json(), { detail: /the key slow may send 3 requests per minute/ });
  for (let request = 0; request < 5; request++) t.equal((await ask(free)).statusCode, 503);
});

t.test('keys are rotated without a restart, and a broken file changes nothing', async (t) => {
  const path = join(t.testdir(), 'keys.json');
  const [old, fresh] = [makeKey(), makeKey()];
  await writeKeyFile(path, [entry('line', old)]);
  const ring = await KeyRing.open(path);
  t.teardown(() => ring.close());
  const changes: (readonly ApiKey[] | Error)[] = [];
  ring.follow((change) => changes.push(change));
  const changed = async (count: number): Promise<void> => {
    for (let tries = 0; changes.length < count && tries < 100; tries++) await wait(100);
    t.equal(changes.length, count);
  };
  await writeKeyFile(path, [entry('line', fresh)]);
  await changed(1);
  t.equal(ring.find(old), undefined);
  t.equal(ring.find(fresh)?.name, 'line');
  await writeFile(path, 'half a fi');
  await changed(2);
  t.type(changes[1], Error);
  t.equal(ring.find(fresh)?.name, 'line', 'the old keys stay valid');
});

t.test('responses have security headers for browsers, and no CORS headers', async (t) => {
  const app = await buildApp();
  t.teardown(() => app.close());
  const { headers } = await app.inject({
    url: '/health/live',
    headers: { origin: 'https://elsewhere.example' },
  });
  t.equal(headers['x-content-type-options'], 'nosniff');
  t.equal(headers['x-frame-options'], 'SAMEORIGIN');
  t.equal(headers['access-control-allow-origin'], undefined);
});
