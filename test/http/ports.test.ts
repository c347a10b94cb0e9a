/** How the service is reached: operations port, HTTPS, connections on stop, other origins. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { connect as connectPlain, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import {
  buildApp,
  hashKey,
  makeKey,
  type RunningService,
  type ServeOptions,
  writeKeyFile,
} from '../../src/http/index.js';
import { startService } from '../support/service.js';

const pem = (name: string): string =>
  fileURLToPath(new URL(`../../../test/support/tls/${name}.pem`, import.meta.url));

async function started(t: Test, options: Partial<ServeOptions>): Promise<RunningService> {
  const service = await startService(options);
  t.teardown(() => service.stop());
  return service;
}

t.test('with an operations port, metrics are only there', async (t) => {
  const service = await started(t, { operationsPort: 0 });
  const status = async (address: string | undefined, path: string): Promise<number> =>
    (await fetch(`${address}${path}`)).status;
  t.equal(await status(service.operationsAddress, '/metrics'), 200);
  t.equal(await status(service.operationsAddress, '/health/ready'), 200);
  t.equal(await status(service.operationsAddress, '/v1/detectors'), 404, 'it has no other routes');
  const headers = { 'x-request-id': 'probe-7' };
  const unknown = await fetch(`${service.operationsAddress}/docs`, { headers });
  t.equal(unknown.headers.get('x-request-id'), 'probe-7');
  t.match(await unknown.json(), { detail: /no GET \/docs on this port, which has \/metrics and/ });
  t.equal(await status(service.address, '/metrics'), 404);
  t.equal(await status(service.address, '/health/ready'), 200);
  const metrics = await (await fetch(`${service.operationsAddress}/metrics`)).text();
  t.match(metrics, /mkd_requests_total\{route="\/health\/ready"/, 'it counts requests of the other port');
});

t.test('connections without a request do not delay the stop', async (t) => {
  const service = await startService({});
  const { port, hostname } = new URL(service.address);
  const unused = connectPlain(Number(port), hostname);
  await once(unused, 'connect');
  const closed = once(unused, 'close');
  await service.stop();
  await closed;
  t.pass('the service has stopped');
});

t.test('refused requests leave no connection behind, whether their body is complete or not', async (t) => {
  const keys = join(t.testdir(), 'keys.json');
  const admin = makeKey();
  await writeKeyFile(keys, [{ name: 'admin', scopes: ['admin'], sha256: hashKey(admin) }]);
  const service = await startService({ keys });
  const { port, hostname } = new URL(service.address);
  const bytes = 3_000_000;
  const refused = async (path: string, type: string, status: number): Promise<Socket> => {
    const client = connectPlain(Number(port), hostname);
    client.write(
      `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${admin}\r\n` +
        `content-type: ${type}\r\ncontent-length: ${bytes}\r\n\r\n`,
    );
    client.write(Buffer.alloc(bytes - 1, 1));
    const [answer] = (await once(client, 'data')) as [Buffer];
    t.match(answer.toString(), new RegExp(`^HTTP/1.1 ${status} `), `${path} ${type}`);
    return client;
  };
  const all = (): Promise<Socket[]> =>
    Promise.all([
      refused('/v1/detectors/sample/score', 'video/mp4', 415),
      refused('/v1/detectors/new/versions', 'video/mp4', 415),
      refused('/v1/detectors/new/versions', 'application/x-tar', 422),
      refused('/v1/detectors/n%20w/versions', 'application/x-tar', 422),
      refused('/nowhere', 'application/x-tar', 404),
    ]);
  const connections = (): Promise<number> =>
    new Promise((resolve, reject) =>
      service.app.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    );

  for (const client of await all()) client.end();
  for (let tries = 0; tries < 50 && (await connections()) > 0; tries++) await wait(20);
  t.equal(await connections(), 0, 'a disconnect is noticed');

  for (const client of await all()) {
    const again = once(client, 'data');
    client.write(`\u0001GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n`);
    t.match(String(await again), /^HTTP\/1.1 200 /, 'the next request on the connection is answered');
    client.end();
  }

  const silent = await all();
  const closed = silent.map((client) => once(client, 'close'));
  await service.stop();
  await Promise.all(closed);
  t.pass('silent clients do not delay the stop');
});

t.test(
  'a stopping service is not ready at once, and still accepts requests for the stop delay',
  async (t) => {
    const service = await startService({ stopDelayMs: 1500 });
    const image = await readFile(new URL('../../../examples/good-1.png', import.meta.url));
    const stopped = service.stop();
    t.equal((await fetch(`${service.address}/health/ready`)).status, 503);
    const { status } = await fetch(`${service.address}/v1/detectors/sample/score`, {
      method: 'POST',
      body: Uint8Array.from(image),
      headers: { 'content-type': 'image/png' },
    });
    t.equal(status, 200);
    await stopped;
    await t.rejects(fetch(`${service.address}/health/live`));
  },
);

t.test('a stopping service waits for unfinished uploads, up to a limit', async (t) => {
  const service = await startService({ drainMs: 4000 });
  const { port, hostname } = new URL(service.address);
  const image = await readFile(new URL('../../../examples/good-1.png', import.meta.url));
  const half = image.length / 2;
  const begun = (): Socket => {
    const client = connectPlain(Number(port), hostname);
    client.write(
      `POST /v1/detectors/sample/score HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\n` +
        `content-length: ${image.length}\r\n\r\n`,
    );
    client.write(image.subarray(0, half));
    return client;
  };
  const [stalled, slow] = [begun(), begun()];
  const cutOff = once(stalled, 'close');
  const answer = once(slow, 'data');
  await wait(200);
  const stopped = service.stop();
  await wait(500);
  slow.write(image.subarray(half));
  t.match(String(await answer), /^HTTP\/1.1 200 /);
  await cutOff;
  await stopped;
});

/** Runs the container's health check. @returns its exit code */
async function healthOf(
  variables: Readonly<Record<string, string>>,
  service = process.pid,
): Promise<number | null> {
  const check = fileURLToPath(new URL('../../src/cli/health.js', import.meta.url));
  const env = { ...process.env, ...variables };
  const child = spawn(process.execPath, [check, `${service}`], { env, stdio: 'ignore' });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code;
}

t.test('the health check of the container finds what flags or a file set', async (t) => {
  const service = await started(t, { tls: { cert: pem('one.cert'), key: pem('one.key') } });
  const port = Number(new URL(service.address).port);
  const config = join(t.testdir(), 'config.json');
  await writeFile(config, `\ufeff${JSON.stringify({ port, tlsCert: pem('one.cert') })}`);
  for (const [name, flags, variables] of [
    ['flags', ['--port', `${port}`, `--tls-cert=${pem('one.cert')}`], {}],
    ['a file', ['--config', config], {}],
    ['a file named by a variable', [], { MKD_CONFIG: config }],
    ['flags, which come before variables', ['--port', `${port}`], { PORT: '1', MKD_CONFIG: config }],
  ] as const) {
    const asService = ['-e', 'setInterval(() => {}, 1000)', 'mkd', 'serve', ...flags];
    const stand = spawn(process.execPath, asService, { stdio: 'ignore' });
    await once(stand, 'spawn');
    t.equal(await healthOf(variables, stand.pid), 0, name);
    stand.kill();
  }
});

t.test('HTTPS works, and a renewed certificate is loaded without a restart', async (t) => {
  const folder = t.testdir();
  const tls = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  const install = async (name: string): Promise<void> => {
    await copyFile(pem(`${name}.cert`), tls.cert);
    await copyFile(pem(`${name}.key`), tls.key);
  };
  await install('one');
  const service = await started(t, { tls });
  t.match(service.address, /^https:/);
  const { port } = new URL(service.address);
  const ask = async (ca: string): Promise<string> => {
    const trusted = await readFile(pem(`${ca}.cert`));
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: Number(port), ca: trusted });
      let answer = '';
      socket.on('secureConnect', () =>
        socket.write('GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n'),
      );
      socket.on('data', (chunk: Buffer) => {
        answer += chunk.toString();
      });
      socket.on('end', () => resolve(answer));
      socket.on('error', reject);
    });
  };
  t.match(await ask('one'), /^HTTP\/1.1 200/);
  t.equal(await healthOf({ PORT: port, MKD_TLS_CERT: tls.cert }), 0, 'the health check of the container');
  t.equal(await healthOf({ PORT: port }), 1, 'which knows HTTPS by the variable');
  await t.rejects(ask('two'), 'the other certificate is not installed yet');
  await install('two');
  for (let tries = 0; tries < 30; tries++) {
    if (await ask('two').catch(() => undefined)) break;
    await wait(500);
  }
  t.match(await ask('two'), /^HTTP\/1.1 200/);
});

t.test('an unusable certificate stops the start with a reason', async (t) => {
  await t.rejects(started(t, { tls: { cert: pem('one.cert'), key: pem('two.key') } }), {
    name: 'TlsError',
    message: /belong together/,
  });
  await t.rejects(started(t, { tls: { cert: 'nowhere', key: pem('two.key') } }), { message: /nowhere/ });
});

t.test('pages of other origins may call only if their origin is configured', async (t) => {
  const headersFor = async (corsOrigins: readonly string[]) => {
    const app = await buildApp({ corsOrigins });
    t.teardown(() => app.close());
    const preflight = {
      origin: 'https://line.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization',
    };
    const url = '/v1/detectors/sample/score';
    return (await app.inject({ method: 'OPTIONS', url, headers: preflight })).headers;
  };
  t.match(await headersFor(['https://line.example']), {
    'access-control-allow-origin': 'https://line.example',
  });
  t.not((await headersFor(['https://other.example']))['access-control-allow-origin'], 'https://line.example');
  t.match(await headersFor(['*']), { 'access-control-allow-origin': '*' });
  const policy = async (corsOrigins: readonly string[]) => {
    const app = await buildApp({ corsOrigins });
    t.teardown(() => app.close());
    return (await app.inject({ method: 'GET', url: '/health/live' })).headers['cross-origin-resource-policy'];
  };
  t.equal(await policy(['https://line.example']), 'cross-origin', 'their pages may show heatmaps');
  t.equal(await policy([]), 'same-origin');
  t.equal((await headersFor([]))['access-control-allow-origin'], undefined);
});
