/** Requests as real clients send them: odd, and each of them answered. */
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { copyDetector } from '../support/detectors.js';
import { startService } from '../support/service.js';

const image = await readFile(new URL('../../../examples/defect-1.png', import.meta.url));
const path = '/v1/detectors/sample/score';

/** Sends a request byte for byte, and returns the answer. */
async function sent(address: string, type: string, body: Uint8Array, headers: readonly string[] = []) {
  const { hostname, port } = new URL(address);
  const socket = connect(Number(port), hostname);
  const lines = [
    `POST ${path} HTTP/1.1`,
    'Host: localhost',
    `Content-Type: ${type}`,
    `Content-Length: ${body.length}`,
    'Connection: close',
    ...headers,
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  socket.write(body);
  const answer = await text(socket);
  return { status: Number(answer.split(' ')[1]), answer };
}

const multipart = (header: string, content: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from(`--b\r\n${header}\r\n\r\n`), content, Buffer.from('\r\n--b--\r\n')]);
const disposition = 'Content-Disposition: form-data; name="image"; filename="a.png"';

t.test('content types may be written in any case', async (t) => {
  const service = await startService();
  t.teardown(() => service.stop());
  for (const [type, body] of [
    ['Multipart/Form-Data; boundary=b', multipart(disposition, image)],
    ['MULTIPART/FORM-DATA; Boundary=b', multipart(disposition, image)],
    ['multipart/form-data; boundary="b"', multipart(disposition, image)],
    ['Image/PNG', image],
    ['image/jpg', image],
    ['image/pjpeg', image],
    ['IMAGE/x-png', image],
  ] as const) {
    const { status, answer } = await sent(service.address, type, body);
    t.equal(status, 200, type);
    t.match(answer, /"verdict":"anomalous"/, type);
  }
});

t.test(
  'whatever a multipart body lacks, the request is answered, and the service stops at once',
  async (t) => {
    const service = await startService();
    for (const size of [10, 1000, 20_000, 70_000, 200_000]) {
      const content = Buffer.alloc(size, 'x');
      const { status, answer } = await sent(
        service.address,
        'multipart/form-data; boundary=b',
        multipart('Content-Type: image/png', content),
      );
      t.equal(status, 400, `a part of ${size} bytes without Content-Disposition: ${answer.slice(-200)}`);
    }
    const cut = multipart(disposition, image).subarray(0, 3000);
    const { status } = await sent(service.address, 'multipart/form-data; boundary=b', cut);
    t.equal(status, 400, 'no closing boundary');
    await service.stop();
    t.pass('nothing is waited for');
  },
);

t.test('a part that cannot be read is not left out beside others', async (t) => {
  const service = await startService();
  t.teardown(() => service.stop());
  const whole = multipart(disposition, image);
  const others = [
    'Content-Type: image/png',
    'Content-Disposition: attachment; filename="a.png"',
    'Content-Disposition: inline',
  ];
  for (const header of others) {
    const other = Buffer.concat([Buffer.from(`--b\r\n${header}\r\n\r\n`), image, Buffer.from('\r\n')]);
    for (const body of [
      Buffer.concat([other, whole]),
      Buffer.concat([whole.subarray(0, -'--b--\r\n'.length), other, Buffer.from('--b--\r\n')]),
    ]) {
      const { status, answer } = await sent(service.address, 'multipart/form-data; boundary=b', body);
      t.equal(status, 400, header);
      t.match(answer, /of its 2 parts, 1 cannot be read; each needs a header Content-Disposition/, header);
    }
  }
});

t.test('too many form fields are called fields, not images', async (t) => {
  const service = await startService();
  t.teardown(() => service.stop());
  const form = new FormData();
  for (let field = 0; field < 33; field++) form.append(`field-${field}`, 'x');
  form.append('image', new Blob([Uint8Array.from(image)]), 'a.png');
  const answer = await fetch(`${service.address}${path}`, { method: 'POST', body: form });
  t.match(
    await answer.json(),
    { status: 413, detail: /at most 32 form fields beside its images/ },
    'one more than allowed',
  );
});

t.test('a part without a file name that says it is an image is none that is left out', async (t) => {
  const service = await startService();
  t.teardown(() => service.stop());
  for (const type of ['image/bmp', 'application/octet-stream', 'image/heic', 'multipart/mixed; boundary=c']) {
    const header = `Content-Disposition: form-data; name="image"\r\nContent-Type: ${type}`;
    const other = Buffer.from(`--b\r\n${header}\r\n\r\nBM no image that is known\r\n`);
    const body = Buffer.concat([other, multipart(disposition, image)]);
    const { status, answer } = await sent(service.address, 'multipart/form-data; boundary=b', body);
    t.equal(status, 200, type);
    t.match(answer, /"results":\[\{"error":\{[^}]*"status":415/, type);
    t.match(answer, /"verdict":"anomalous"/, type);
  }
});

t.test('a part without a file name is an image if its content is one', async (t) => {
  const service = await startService();
  t.teardown(() => service.stop());
  const part = (header: string, content: Uint8Array | string): Buffer =>
    Buffer.concat([Buffer.from(`--b\r\n${header}\r\n\r\n`), Buffer.from(content), Buffer.from('\r\n')]);
  const body = Buffer.concat([
    part('Content-Disposition: form-data; name="note"', 'a field'),
    part('Content-Disposition: form-data; name="image"', image),
    part('Content-Disposition: form-data; name="image"\r\nContent-Type: image/png', image),
    Buffer.from('--b--\r\n'),
  ]);
  const { status, answer } = await sent(service.address, 'multipart/form-data; boundary=b', body);
  t.equal(status, 200);
  t.equal(answer.match(/"verdict":"anomalous"/g)?.length, 2);
});

t.test('a body that does not arrive before the deadline gets an answer', async (t) => {
  const service = await startService();
  t.teardown(() => service.stop());
  const { hostname, port } = new URL(service.address);
  const socket = connect(Number(port), hostname);
  const head = [
    `POST ${path} HTTP/1.1`,
    'Host: localhost',
    'Content-Type: multipart/form-data; boundary=b',
    'Content-Length: 100000',
    'mkd-timeout-ms: 1000',
    'Connection: close',
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n--b\r\n${disposition}\r\n\r\n`);
  const answer = await text(socket);
  t.match(answer, /^HTTP\/1\.1 408 /);
  t.match(answer, /did not arrive before its deadline/);
});

t.test('so does a body that is no form, and one that is malformed when the deadline passes', async (t) => {
  const service = await startService();
  t.teardown(() => service.stop());
  const { hostname, port } = new URL(service.address);
  const answered = async (target: string, headers: readonly string[], body: string | Uint8Array) => {
    const socket = connect(Number(port), hostname);
    const head = [`POST ${target} HTTP/1.1`, 'Host: localhost', 'mkd-timeout-ms: 1000', 'Connection: close'];
    socket.write(`${[...head, ...headers].join('\r\n')}\r\n\r\n`);
    socket.write(body);
    return text(socket);
  };
  const cut = image.subarray(0, 3000);
  for (const [target, headers] of [
    [path, ['Content-Type: image/png', 'Content-Length: 50000']],
    [path, ['Content-Type: application/octet-stream', 'Content-Length: 50000']],
    ['/v2/models/sample/infer', ['Content-Type: application/json', 'Content-Length: 50000']],
  ] as const) {
    const answer = await answered(target, headers, cut);
    t.match(answer, /^HTTP\/1\.1 408 /, headers.join());
    t.match(answer, /did not arrive before its deadline/, headers.join());
  }
  const body = multipart('Content-Type: image/png', Buffer.alloc(1000, 'x'));
  const whole = ['Content-Type: multipart/form-data; boundary=b', `Content-Length: ${body.length}`];
  const malformed = await answered(path, whole, body);
  t.match(malformed, /^HTTP\/1\.1 400 /, 'it arrived');
  t.match(malformed, /multipart/, 'and the answer says what is wanted');
});

t.test('an image that is too large is not called a body that is', async (t) => {
  const service = await startService();
  t.teardown(() => service.stop());
  const data = Buffer.alloc(33 * 2 ** 20).toString('base64');
  const answer = await fetch(`${service.address}/v2/models/sample/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ inputs: [{ name: 'image', datatype: 'BYTES', shape: [1], data: [data] }] }),
  });
  t.equal(answer.status, 413);
  t.match(await answer.json(), { error: /image has 34603008 bytes; at most 33554432 are accepted/ });
});

t.test('keys in the URL are not keys, and are not logged', async (t) => {
  const lines: string[] = [];
  const stream = { write: (line: string) => lines.push(line) };
  const service = await startService({ app: { logger: { level: 'info', stream } } });
  t.teardown(() => service.stop());
  const key = 'mkd_abcdefghijklmnopqrstuvwxyz';
  await fetch(`${service.address}/v1/detectors?api_key=${key}&access_token=x1y2z3&v=${key}&page=2`);
  const log = lines.join('');
  t.match(log, /api_key=\[redacted\]&access_token=\[redacted\]&v=\[redacted\]&page=2/);
  t.notMatch(log, new RegExp(key));
  t.notMatch(log, /x1y2z3/);
  await fetch(`${service.address}/v1/${key}/detectors`);
  t.match(lines.join(''), /"url":"\/v1\/\[redacted\]\/detectors"/);
  t.notMatch(lines.join(''), new RegExp(key), 'not even in a path');
});

/** Returns what a service with a detector of this threshold says of an image. */
async function scoredBy(t: Test, raise: number) {
  const detectors = join(t.testdir(), 'detectors');
  await copyDetector(join(detectors, 'sample'), raise);
  const service = await startService({ detectors });
  t.teardown(() => service.stop());
  const answer = await fetch(`${service.address}${path}`, {
    method: 'POST',
    body: Uint8Array.from(image),
    headers: { 'content-type': 'image/png' },
  });
  const metrics = await (await fetch(`${service.address}/metrics`)).text();
  return { status: answer.status, body: (await answer.json()) as object, metrics };
}

t.test('a threshold below 0, or at 0, breaks neither answers nor metrics', async (t) => {
  const embedded = JSON.parse(
    await readFile(new URL('../../../models/sample/manifest.json', import.meta.url), 'utf8'),
  ) as { calibration: { threshold: number } };
  const { threshold } = embedded.calibration;
  for (const wanted of [-1.9, 0]) {
    const { status, body, metrics } = await scoredBy(t, wanted - threshold);
    t.equal(status, 200);
    t.match(body, { results: [{ verdict: 'anomalous', pValueIsBound: true }] });
    t.match(metrics, /mkd_verdicts_total\{detector="sample",verdict="anomalous"\} 1/);
    t.notMatch(metrics, /mkd_anomaly_score_threshold_ratio_sum\{detector="sample"\}/, 'there is no ratio');
  }
});

t.test('no figure has more digits than it is worth', async (t) => {
  const { body } = await scoredBy(t, 0);
  const numbers = JSON.stringify(body).match(/-?\d+\.\d+(?:e-?\d+)?/g) ?? [];
  t.ok(numbers.length > 10);
  const long = numbers.filter((number) => number.replace(/e.*/, '').replace(/^-?0?\.?0*|\D/g, '').length > 9);
  t.strictSame(long, []);
});
