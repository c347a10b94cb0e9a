/** The store of results: bounded in number, bytes and time. */
import t from 'tap';
import { ResultStore, type StoredResult } from '../../src/http/result-store.js';

function stored(id: string, bytes = 10): StoredResult {
  const result = { id } as StoredResult['result'];
  const of = { detectorName: 'd', version: '1', localization: 'discrepancy' } as const;
  return { ...of, result, size: { width: 1, height: 1 }, image: new Uint8Array(bytes), maps: new Map() };
}

t.test('the oldest result is evicted when there are too many, and is reported as expired', async (t) => {
  const store = new ResultStore({ maxResults: 2, maxBytes: 1e6, maxAgeMs: 1e6 });
  for (const id of ['a', 'b', 'c']) store.add(stored(id));
  t.equal(store.size, 2);
  t.throws(() => store.get('a'), /the result expired at/);
  t.equal(store.get('c').result.id, 'c');
  t.throws(() => store.get('z'), /no result 'z'/);
});

t.test('bytes are bounded', async (t) => {
  const store = new ResultStore({ maxResults: 100, maxBytes: 100, maxAgeMs: 1e6 });
  for (const id of ['a', 'b', 'c', 'd']) store.add(stored(id, 30));
  t.ok(store.bytes <= 100);
  t.throws(() => store.get('a'), /the result expired at/);
  t.ok(store.get('d'));
});

t.test('a result expires, and the error says when', async (t) => {
  let now = Date.UTC(2026, 0, 1);
  const store = new ResultStore({ maxResults: 5, maxBytes: 1e6, maxAgeMs: 60_000 }, () => now);
  store.add(stored('a'));
  now += 59_999;
  t.ok(store.get('a'));
  now += 1;
  t.throws(() => store.get('a'), { message: /expired at 2026-01-01T00:01:00.000Z/ });
  t.equal(store.bytes, 0);
});

t.test('maps added later count, and do not extend the lifetime of a result', async (t) => {
  let now = 1000;
  const store = new ResultStore({ maxResults: 5, maxBytes: 1000, maxAgeMs: 100 }, () => now);
  const kept = stored('a', 100);
  store.add(kept);
  store.add(stored('b', 100));
  t.equal(store.bytes, 200);
  const map = { width: 10, height: 10, values: new Float32Array(100) };
  now = 1050;
  store.addMap(kept, 'gradient', map);
  t.equal(store.bytes, 600);
  t.equal(store.get('a').maps.size, 1);
  store.addMap(kept, 'discrepancy', map);
  t.equal(store.bytes, 1000);
  store.addMap(kept, 'guided', map);
  t.equal(store.get('a').maps.size, 2, 'a map that does not fit is not kept');
  store.add(stored('c', 50));
  t.throws(() => store.get('b'), /the result expired at/, 'the least recently used is evicted');
  store.add(stored('d', 2000));
  t.throws(() => store.get('d'), /the result expired at/, 'larger than the store');
  now = 1100;
  t.throws(() => store.get('a'), /the result expired at/);
});
