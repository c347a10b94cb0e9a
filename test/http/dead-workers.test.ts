/** What the service says of itself once no inference worker is left, and when one is there again. */
import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import t from 'tap';
import type { Runner } from '../../src/runtime/index.js';
import { testProvider } from '../support/provider.js';
import { startService } from '../support/service.js';

/** Ends the worker that runs it, and the one that replaces it: after two, it is given up. */
const crash = {
  module: new URL('../support/crash.js', import.meta.url).href,
  function: 'crash',
  argument: 0,
};

t.test(
  'without a worker the service is not ready, metrics say so, and the next image starts one',
  async (t) => {
    const service = await startService({ device: { provider: testProvider } });
    t.teardown(() => service.stop());
    const ready = async (): Promise<{ status: number; body: unknown }> => {
      const response = await fetch(`${service.address}/health/ready`);
      return { status: response.status, body: await response.json() };
    };
    const metrics = async (): Promise<string> => (await fetch(`${service.address}/metrics`)).text();
    t.match(await ready(), { status: 200, body: { status: 'ready', provider: testProvider } });
    t.match(await metrics(), /^mkd_ready 1$/m);

    const { device } = service.app.service.readyCatalog().engine as unknown as { device: Runner };
    await t.rejects(device.session(crash), { name: 'WorkerGoneError' });
    t.match(await ready(), { status: 503, body: { status: 'failed', provider: testProvider } });
    const dead = await metrics();
    t.match(dead, /^mkd_ready 0$/m);
    t.match(dead, `mkd_provider_info{provider="${testProvider}"} 1\n`, 'the provider that was promised');
    t.match(dead, /^mkd_worker_restarts_total\{cause="crash"\} 1$/m);
    t.equal((await fetch(`${service.address}/health/live`)).status, 200, 'the process is alive');

    const image = await readFile(new URL('../../../examples/defect-1.png', import.meta.url));
    const answer = await fetch(`${service.address}/v1/detectors/sample/score`, {
      method: 'POST',
      body: Uint8Array.from(image),
      headers: { 'content-type': 'image/png' },
    });
    t.match(await answer.json(), { results: [{ verdict: 'anomalous' }] });
    t.match(await ready(), { status: 200, body: { status: 'ready', provider: testProvider } });
    const again = await metrics();
    t.match(again, /^mkd_ready 1$/m);
    t.match(again, /^mkd_worker_restarts_total\{cause="crash"\} 2$/m);
    t.match(again, `mkd_provider_info{provider="${testProvider}"} 1\n`);
  },
);

t.test('a service that gets no images starts a worker by itself', async (t) => {
  const service = await startService({ device: { provider: testProvider } });
  t.teardown(() => service.stop());
  const { device } = service.app.service.readyCatalog().engine as unknown as { device: Runner };
  await t.rejects(device.session(crash), { name: 'WorkerGoneError' });
  const status = async (): Promise<number> => (await fetch(`${service.address}/health/ready`)).status;
  t.equal(await status(), 503);
  for (let tries = 0; tries < 300 && (await status()) !== 200; tries++) await wait(100);
  t.equal(await status(), 200);
});
