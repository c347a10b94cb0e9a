/** Replicas share their results in Redis, and score whether it is there or not. */
import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import t from 'tap';
import { SharedResults } from '../../src/http/shared-results.js';
import { noRedis, RedisServer } from '../support/redis.js';
import { startService } from '../support/service.js';

const defect = await readFile(new URL('../../../examples/defect-1.png', import.meta.url));

/** Repeats a question until it has this answer. */
async function until(wanted: number, ask: () => Promise<Response>): Promise<Response> {
  for (let tries = 0; ; tries++) {
    const response = await ask();
    if (response.status === wanted || tries > 100) return response;
    await response.arrayBuffer();
    await wait(50);
  }
}

t.test('any replica has the results of all, and scores without the store', { skip: noRedis }, async (t) => {
  const redis = await RedisServer.start();
  t.teardown(() => redis.kill());
  const replicas = await Promise.all(
    [1, 2].map(() => startService({ app: { resultsUrl: redis.url, results: limits } })),
  );
  const [first, second] = replicas as [(typeof replicas)[number], (typeof replicas)[number]];
  t.teardown(() => Promise.all(replicas.map((replica) => replica.stop())));

  const scored = async (address: string): Promise<{ id: string; score: number }> => {
    const response = await fetch(`${address}/v1/detectors/sample/score`, {
      method: 'POST',
      body: Uint8Array.from(defect),
      headers: { 'content-type': 'image/png' },
    });
    t.equal(response.status, 200);
    const { results } = (await response.json()) as { results: [{ id: string; score: number }] };
    return results[0];
  };
  const own = await scored(first.address);
  const found = await until(200, () => fetch(`${second.address}/v1/results/${own.id}`));
  t.match(await found.json(), { detector: 'sample', result: { score: own.score } });
  const picture = async (address: string): Promise<Buffer> => {
    const response = await fetch(`${address}/v1/results/${own.id}/heatmap`);
    t.equal(response.status, 200);
    return Buffer.from(await response.arrayBuffer());
  };
  t.ok((await picture(second.address)).equals(await picture(first.address)), 'maps are computed anywhere');
  const photo = await fetch(`${second.address}/v1/results/${own.id}/photo`);
  t.equal(photo.status, 200);
  t.equal((await fetch(`${second.address}/v1/results/other`)).status, 404);

  await redis.kill();
  const alone = await scored(first.address);
  t.equal((await fetch(`${first.address}/v1/results/${alone.id}`)).status, 200, 'its own are in memory');
  const unreachable = await fetch(`${second.address}/v1/results/${alone.id}`);
  t.equal(unreachable.status, 503);
  t.match(await unreachable.json(), { type: 'urn:mkd:problem:results-unreachable' });
  t.ok(unreachable.headers.get('retry-after'));
  const metrics = await (await fetch(`${first.address}/metrics`)).text();
  t.match(metrics, /mkd_results_not_shared_total [1-9]/);

  await redis.begin();
  t.equal((await until(404, () => fetch(`${second.address}/v1/results/${alone.id}`))).status, 404);
  const again = await until(200, async () =>
    fetch(`${second.address}/v1/results/${(await scored(first.address)).id}`),
  );
  t.equal(again.status, 200, 'shared again');
});

const limits = { maxResults: 100, maxBytes: 2 ** 24, maxAgeMs: 60_000 };

t.test('images, pixels and maps come back as they were, and expire', { skip: noRedis }, async (t) => {
  const redis = await RedisServer.start();
  t.teardown(() => redis.kill());
  const errors: Error[] = [];
  const shared = new SharedResults({
    url: redis.url,
    maxAgeMs: 400,
    onError: (error) => errors.push(error),
  });
  t.teardown(() => shared.close());
  for (let tries = 0; tries < 100 && (await shared.find('a').catch(() => 'down')) === 'down'; tries++)
    await wait(20);
  const result = { id: 'a' } as Parameters<SharedResults['save']>[0]['result'];
  const map = { width: 2, height: 1, values: Float32Array.of(1.5, -3) };
  const stored = {
    ...({ detectorName: 'd', version: 'v', localization: 'discrepancy', result } as const),
    size: { width: 2, height: 1 },
    image: { pixels: Uint8Array.of(1, 2, 3, 4, 5, 6), width: 2, height: 1 },
    maps: new Map([['discrepancy', map]] as const),
  };
  shared.save(stored);
  shared.saveMap('a', 'gradient', map);
  shared.saveMap('gone', 'gradient', map);
  await wait(100);
  const found = await shared.find('a');
  t.strictSame([...(found?.maps ?? [])].sort(), [
    ['discrepancy', map],
    ['gradient', map],
  ]);
  t.match(found, { detectorName: 'd', version: 'v', size: { width: 2 }, image: { width: 2, height: 1 } });
  t.equal(await shared.find('gone'), undefined, 'a map alone is no result');
  await wait(500);
  t.equal(await shared.find('a'), undefined);
  t.strictSame(errors, []);
});
