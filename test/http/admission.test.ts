/** Work beyond the limits waits or is refused, and finished work makes room again. */
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import t from 'tap';
import type { RunningService } from '../../src/http/index.js';
import { Budget } from '../../src/http/plugins/budget.js';
import { startService } from '../support/service.js';

t.test('a budget admits what fits, and an amount larger than the limit alone', async (t) => {
  const budget = new Budget(10);
  t.ok(budget.tryTake(6));
  t.notOk(budget.tryTake(5));
  t.ok(budget.tryTake(4));
  budget.release(10);
  t.ok(budget.tryTake(50), 'alone');
  t.notOk(budget.tryTake(1));
  budget.release(50);
  t.equal(budget.used, 0);
});

t.test('a budget serves waiting callers in order', async (t) => {
  const budget = new Budget(10);
  const came: string[] = [];
  await budget.take(8);
  const large = budget.take(9).then(() => came.push('large'));
  t.notOk(budget.tryTake(1), 'there is room, but another caller waits');
  const small = budget.take(1).then(() => came.push('small'));
  budget.release(8);
  await Promise.all([large, small]);
  t.strictSame(came, ['large', 'small']);
});

t.test('a caller that stops waiting makes room for those behind it', async (t) => {
  const budget = new Budget(10);
  const gone = new AbortController();
  await budget.take(8);
  const first = budget.take(9, gone.signal);
  const second = budget.take(2);
  gone.abort(new Error('gone'));
  await t.rejects(first, { message: 'gone' });
  await second;
  t.equal(budget.used, 10);
  await t.rejects(budget.take(1, AbortSignal.abort(new Error('never'))), { message: 'never' });
});

const image = await readFile(new URL('../../../examples/good-1.png', import.meta.url));
const path = '/v1/detectors/sample/score';

async function started(admission: object): Promise<RunningService> {
  const service = await startService({ app: { admission } });
  t.teardown(() => service.stop());
  return service;
}

const post = (
  service: RunningService,
  body: Uint8Array<ArrayBuffer> | FormData = Uint8Array.from(image),
): Promise<Response> =>
  fetch(`${service.address}${path}`, {
    method: 'POST',
    body,
    ...(body instanceof FormData ? {} : { headers: { 'content-type': 'image/png' } }),
  });

t.test('received bytes count until the response; more are refused', async (t) => {
  const service = await started({ maxBytesInFlight: image.length + 1000 });
  const { port, hostname } = new URL(service.address);
  const slow = connect(Number(port), hostname);
  slow.on('error', () => {});
  const announced = 100 * image.length;
  slow.write(
    `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\ncontent-length: ${announced}\r\n\r\n`,
  );
  await wait(100);
  t.equal((await post(service)).status, 200, 'announced bytes do not block others');
  slow.write(image.subarray(0, 2000));
  await wait(100);
  const form = new FormData();
  form.append('image', new Blob([Uint8Array.from(image)]), 'a.png');
  for (const body of [Uint8Array.from(image), form]) {
    const refused = await post(service, body);
    t.equal(refused.status, 503);
    t.ok(Number(refused.headers.get('retry-after')) >= 1);
    t.match(await refused.json(), { detail: /bytes are being processed/ });
  }
  slow.destroy();
  await wait(100);
  t.equal((await post(service)).status, 200, 'the slow client has disconnected');
});

t.test('work of disconnected clients is not started', async (t) => {
  const service = await startService({ device: { maxBatchSize: 1 } });
  t.teardown(() => service.stop());
  const { metrics } = service.app.service;
  const figure = async (name: string): Promise<number> =>
    Number(new RegExp(`^${name} (\\d+)`, 'm').exec(await metrics.registry.metrics())?.[1] ?? 0);
  const images = 16;
  const leave = new AbortController();
  const requests = Array.from({ length: images }, () =>
    fetch(`${service.address}${path}`, {
      method: 'POST',
      body: Uint8Array.from(image),
      headers: { 'content-type': 'image/png' },
      signal: leave.signal,
    }),
  );
  await Promise.race(requests);
  leave.abort();
  await Promise.allSettled(requests);
  const dropped = (): Promise<number> => figure('mkd_errors_total{kind="client-gone"}');
  for (let tries = 0; tries < 200 && (await figure('mkd_images_in_flight')) > 0; tries++) await wait(20);
  t.ok((await dropped()) > 0);
  t.equal((await figure('mkd_batch_images_count')) + (await dropped()), images, 'each is scored or dropped');
});

t.test('uploads of a disconnected client are released, and do not count as failures', async (t) => {
  const service = await started({ maxBytesInFlight: 3 * image.length, maxImagesInFlight: 1000 });
  const { port, hostname } = new URL(service.address);
  const { metrics } = service.app.service;
  const shown = async (line: string): Promise<void> => {
    for (let tries = 0; tries < 200 && !(await metrics.registry.metrics()).includes(line); tries++)
      await wait(20);
    t.match(await metrics.registry.metrics(), line);
  };
  const boundary = '--x\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\n\r\n';
  const head = (type: string, length: number): string =>
    `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\n\r\n`;
  const whole = Buffer.concat([Buffer.from(head('image/png', image.length)), image]);
  const broken = Buffer.concat([Buffer.from(head('image/png', image.length)), image.subarray(0, 5000)]);
  const parts = Buffer.concat([
    Buffer.from(head('multipart/form-data; boundary=x', image.length) + boundary),
    image.subarray(0, 5000),
  ]);
  const each = 4;
  for (const bytes of [whole, broken, parts]) {
    for (let count = 0; count < each; count++) {
      const client = connect(Number(port), hostname);
      client.on('error', () => {});
      await new Promise((resolve) => client.write(bytes, resolve));
      await wait(5);
      client.destroy();
    }
  }
  await shown('mkd_upload_bytes_in_flight 0');
  await shown('mkd_images_in_flight 0');
  t.notMatch(await metrics.registry.metrics(), /mkd_errors_total\{kind="(internal|bad-request)"\} [1-9]/);
  t.equal((await post(service)).status, 200);
  const large = await post(service, Uint8Array.from(Buffer.concat([image, image, image, image])));
  t.equal(large.status, 413, 'a request that can never fit gets a 413');
});

t.test('images whose pixels do not fit wait', async (t) => {
  const service = await started({ maxPixelsInFlight: 70_000 });
  const answers = await Promise.all(Array.from({ length: 8 }, () => post(service)));
  t.strictSame(
    answers.map(({ status }) => status),
    answers.map(() => 200),
  );
  const { metrics } = service.app.service;
  t.match(await metrics.registry.getSingleMetricAsString('mkd_pixels_in_flight'), /mkd_pixels_in_flight 0/);
});
