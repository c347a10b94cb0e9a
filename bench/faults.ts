/**
 * `npm run faults`: a minute of load with several faults at once: an inference worker is replaced every five seconds,
 * the detector is switched between two versions every second, clients disconnect during an upload or send one byte per
 * second, and readiness is checked. Then another service is stopped under load. Exits with 1 if an accepted request is
 * lost, a response is wrong, or readiness is wrong.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { hashKey, makeKey, serve, writeKeyFile } from '../src/http/index.js';
import { copyDetector } from '../test/support/detectors.js';
import { root } from './peer.js';
import { Client, startService } from './service.js';

const seconds = Number(process.argv[2] ?? 60);
const connections = 6;
const replaceEveryMs = 5_000;
const switchEveryMs = 1_000;

const folder = await mkdtemp(join(tmpdir(), 'mkd-faults-'));
const image = await readFile(join(root, 'examples/defect-2.png'));
const png = { 'content-type': 'image/png' };
const path = '/v1/detectors/part/score';

async function runFaults(): Promise<boolean> {
  const key = makeKey();
  const authorized = { ...png, authorization: `Bearer ${key}` };
  await writeKeyFile(join(folder, 'keys.json'), [
    { name: 'faults', scopes: ['admin'], sha256: hashKey(key) },
  ]);
  const part = join(folder, 'detectors', 'part');
  const versions = [await copyDetector(join(part, 'one')), await copyDetector(join(part, 'two'), 0.1)];
  const service = await serve({
    detectors: join(folder, 'detectors'),
    experts: [],
    device: { provider: 'cpu' },
    keys: join(folder, 'keys.json'),
    host: '127.0.0.1',
    port: 0,
  });
  const port = Number(new URL(service.address).port);
  const client = new Client(port, connections + 2);
  const ask = async (): Promise<{ status: number; score: number; version: string }> => {
    const { status, body } = await client.send('POST', path, image, authorized);
    const answer = JSON.parse(body.toString()) as { version: string; results?: { score: number }[] };
    return { status, score: answer.results?.[0]?.score ?? Number.NaN, version: answer.version };
  };
  const expected = (await ask()).score;
  const tally = {
    right: 0,
    wrong: 0,
    unavailable: 0,
    lost: 0,
    replaced: 0,
    switched: 0,
    switchesRefused: 0,
    abandoned: 0,
    slow: 0,
    readyWithoutWorker: 0,
  };
  const served = new Set<string>();
  const until = performance.now() + 1000 * seconds;
  const going = (): boolean => performance.now() < until;

  const load = async (): Promise<void> => {
    while (going()) {
      try {
        const { status, score, version } = await ask();
        if (status === 503) tally.unavailable++;
        else if (status === 200 && Math.abs(score - expected) < 1e-3 * expected) tally.right++;
        else tally.wrong++;
        if (status === 200) served.add(version);
      } catch {
        tally.lost++;
      }
    }
  };
  const replaceWorkers = async (): Promise<void> => {
    while (going()) {
      await wait(replaceEveryMs);
      const engine = service.app.service.catalog?.engine;
      const replaced = engine?.replaceWorker();
      const { status } = await client.send('GET', '/health/ready');
      if (engine && !engine.alive && status === 200) tally.readyWithoutWorker++;
      await replaced;
      tally.replaced++;
    }
  };
  const switchVersions = async (): Promise<void> => {
    for (let turn = 0; going(); turn++) {
      await wait(switchEveryMs);
      const activate = `/v1/detectors/part/versions/${versions[turn % 2]}/activate`;
      const { status } = await client.send('POST', activate, undefined, authorized);
      if (status === 200) tally.switched++;
      else tally.switchesRefused++;
    }
  };
  /** Starts an upload, then disconnects in the middle, or continues with one byte per second. */
  const abusiveClient = async (slowly: boolean): Promise<void> => {
    while (going()) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(
        `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-type: image/png\r\ncontent-length: ${image.length}\r\n\r\n`,
      );
      socket.write(image.subarray(0, image.length / 2));
      for (let sent = 0; slowly && sent < 10 && going(); sent++) {
        await wait(1000);
        socket.write(image.subarray(sent, sent + 1));
      }
      if (!slowly) await wait(200);
      socket.destroy();
      if (slowly) tally.slow++;
      else tally.abandoned++;
    }
  };
  await Promise.all([
    ...Array.from({ length: connections }, load),
    replaceWorkers(),
    switchVersions(),
    abusiveClient(false),
    ...Array.from({ length: 10 }, () => abusiveClient(true)),
  ]);
  client.close();
  await service.stop();
  console.log({ seconds, ...tally, versionsServed: served.size });
  return (
    tally.wrong + tally.lost + tally.readyWithoutWorker + tally.switchesRefused === 0 && served.size === 2
  );
}

/** SIGTERM under load: accepted requests are answered, later ones are refused, the process exits with 0. */
async function stopUnderLoad(): Promise<boolean> {
  const port = 18_088;
  const service = await startService(port, '--detectors', join(folder, 'detectors'));
  const client = new Client(port, 16);
  const outcomes = new Map<string, number>();
  let stopping = false;
  const load = async (): Promise<void> => {
    for (;;) {
      const begunWhileStopping = stopping;
      const { status, error } = await client
        .send('POST', path, image, png)
        .then(({ status }) => ({ status: String(status), error: undefined }))
        .catch((error: NodeJS.ErrnoException) => ({ status: 'no answer', error }));
      const when = begunWhileStopping ? 'sent while stopping' : 'sent before';
      outcomes.set(`${when}: ${status}`, (outcomes.get(`${when}: ${status}`) ?? 0) + 1);
      if (error || begunWhileStopping) return;
    }
  };
  const clients = Array.from({ length: 16 }, load);
  await wait(3000);
  stopping = true;
  const code = await service.stop();
  await Promise.all(clients);
  client.close();
  console.log({ exitCode: code, ...Object.fromEntries(outcomes) });
  const lost = outcomes.get('sent before: no answer') ?? 0;
  return code === 0 && lost === 0;
}

try {
  const faults = await runFaults();
  const stopped = await stopUnderLoad();
  process.exitCode = faults && stopped ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
