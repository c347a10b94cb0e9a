/** Three replicas behind a real nginx, with a real Redis: one is killed, one drained, the store ends; nothing is lost. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import sharp from 'sharp';
import { freePort } from '../../test/support/free-port.js';
import { RedisServer } from '../../test/support/redis.js';
import { root } from '../peer.js';
import { Client, type Service, startService } from '../service.js';
import { Running } from './tools.js';

const connections = 8;

/** Requests under load, and what became of them. */
class Load {
  readonly #failures: string[] = [];
  readonly #ids: string[] = [];
  #stopped = false;
  readonly #done: Promise<unknown>;

  constructor(
    private readonly client: Client,
    private readonly image: Buffer,
  ) {
    this.#done = Promise.all(Array.from({ length: connections }, () => this.#work()));
  }

  async #work(): Promise<void> {
    while (!this.#stopped) {
      const headers = { 'content-type': 'image/jpeg' };
      const answer = await this.client
        .send('POST', '/v1/detectors/sample/score', this.image, headers)
        .catch((error: Error) => error);
      if (!(answer instanceof Error) && answer.status === 200) {
        const { results } = JSON.parse(answer.body.toString()) as { results: [{ id: string }] };
        this.#ids.push(results[0].id);
        continue;
      }
      this.#failures.push(
        answer instanceof Error ? answer.message : `${answer.status} ${answer.body.toString().slice(0, 200)}`,
      );
      await wait(100);
    }
  }

  get last(): string {
    return this.#ids.at(-1) ?? '';
  }

  /** @returns how many were answered. @throws Error if one was not. */
  async end(): Promise<number> {
    this.#stopped = true;
    await this.#done;
    if (this.#failures.length > 0) {
      throw new Error(`${this.#failures.length} requests failed, the first with: ${this.#failures[0]}`);
    }
    return this.#ids.length;
  }
}

export class Fleet {
  private constructor(
    private readonly image: Buffer,
    private readonly defective: Buffer,
    private readonly ports: readonly number[],
    private readonly services: Service[],
    private readonly nginx: Running,
    private readonly client: Client,
    private readonly redis: RedisServer,
  ) {}

  static async start(folder: string, detectors: string, replicas = 3): Promise<Fleet> {
    const redis = await RedisServer.start();
    const ports: number[] = [];
    const services: Service[] = [];
    for (let replica = 0; replica < replicas; replica++) {
      const port = await freePort();
      ports.push(port);
      services.push(await startReplica(port, detectors, redis.url));
    }
    const port = await freePort();
    await mkdir(join(folder, 'nginx'), { recursive: true });
    const config = (await readFile(join(root, 'docker/nginx.conf'), 'utf8'))
      .replace('listen 8080;', `listen 127.0.0.1:${port};`)
      .replace(/server mkd:8080 (.*) resolve;/, ports.map((one) => `server 127.0.0.1:${one} $1;`).join(' '));
    const file = join(folder, 'nginx/nginx.conf');
    await writeFile(file, config);
    const nginx = new Running('nginx', ['-p', join(folder, 'nginx'), '-c', file, '-g', 'daemon off;']);
    await nginx.until(`http://127.0.0.1:${port}/health/ready`);
    const [image, defective] = (await Promise.all(
      ['good-1.png', 'defect-1.png'].map((name) =>
        sharp(join(root, 'examples', name))
          .jpeg({ quality: 90 })
          .toBuffer(),
      ),
    )) as [Buffer, Buffer];
    return new Fleet(image, defective, ports, services, nginx, new Client(port, connections), redis);
  }

  /** Address of their Redis. */
  get store(): string {
    return this.redis.url;
  }

  /** One address of a replica, for Prometheus. */
  get target(): string {
    return `127.0.0.1:${this.ports[0]}`;
  }

  /** Requests of all kinds to one replica: scores, maps, pictures, images that are damaged. @returns what ends them. */
  traffic(): () => Promise<void> {
    let stopped = false;
    const client = new Client(this.ports[0] as number, 2);
    const work = async (): Promise<void> => {
      const headers = { 'content-type': 'image/jpeg' };
      while (!stopped) {
        const score = '/v1/detectors/sample/score';
        await client.send('POST', score, this.defective, headers);
        const { body } = await client.send('POST', `${score}?map=always`, this.image, headers);
        const { results } = JSON.parse(body.toString()) as { results: [{ links: { heatmap: string } }] };
        await client.send('GET', results[0].links.heatmap);
        await client.send('POST', score, this.image.subarray(0, 1000), headers);
      }
    };
    const done = Promise.all([work(), work()]);
    return async () => {
      stopped = true;
      await done;
      client.close();
    };
  }

  /** Asks for scores, one after another. @returns what the service says of their times. */
  async ask(count: number): Promise<{ readonly decodeMs: number; readonly inferenceMs: number }[]> {
    const times: { readonly decodeMs: number; readonly inferenceMs: number }[] = [];
    for (let at = 0; at < count; at++) {
      const headers = { 'content-type': 'image/jpeg' };
      const { body } = await this.client.send('POST', '/v1/detectors/sample/score', this.image, headers);
      const { results } = JSON.parse(body.toString()) as { results: [{ timings: (typeof times)[number] }] };
      times.push(results[0].timings);
    }
    return times;
  }

  /** Processes of each part. */
  get pids(): Readonly<Record<'services' | 'nginx' | 'redis', readonly number[]>> {
    return {
      services: this.services.map(({ process }) => process.pid as number),
      nginx: this.nginx.pids,
      redis: [this.redis.pid],
    };
  }

  /** What Redis holds. */
  async storedBytes(): Promise<number> {
    return Number(/used_memory:(\d+)/.exec(await this.redis.info())?.[1]);
  }

  /** Series of a replica in Prometheus. */
  async series(): Promise<number> {
    const text = await (await fetch(`http://${this.target}/metrics`)).text();
    return text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
  }

  load(): Load {
    return new Load(this.client, this.image);
  }

  /** One replica is killed, another one drained, and both come back. */
  async losesReplicas(detectors: string): Promise<string> {
    const load = this.load();
    await wait(2000);
    this.services[1]?.process.kill('SIGKILL');
    await wait(3000);
    await this.services[2]?.stop();
    await wait(2000);
    for (const replica of [1, 2]) {
      this.services[replica] = await startReplica(this.ports[replica] as number, detectors, this.redis.url);
    }
    await wait(2000);
    return `one killed and one drained of three: ${await load.end()} requests, all answered`;
  }

  /** Results of one replica are found by the others. */
  async sharesResults(): Promise<string> {
    const load = this.load();
    await wait(2000);
    await load.end();
    const found = await Promise.all(
      this.ports.map(
        async (port) => (await fetch(`http://127.0.0.1:${port}/v1/results/${load.last}`)).status,
      ),
    );
    if (found.some((status) => status !== 200)) throw new Error(`the replicas answer ${found.join(', ')}`);
    return 'a result is found by all three replicas';
  }

  /** The store ends and starts again. */
  async losesStore(): Promise<string> {
    const load = this.load();
    await wait(1500);
    await this.redis.kill();
    await wait(3000);
    await this.redis.begin();
    await wait(4000);
    const count = await load.end();
    const shared = await this.sharesResults();
    return `Redis killed and started again: ${count} scores, none lost; then ${shared}`;
  }

  async stop(): Promise<void> {
    this.client.close();
    await this.nginx.stop('SIGQUIT');
    await Promise.all(this.services.map((service) => service.stop()));
    await this.redis.kill();
  }
}

function startReplica(port: number, detectors: string, results: string): Promise<Service> {
  return startService(
    port,
    '--provider',
    'cpu',
    '--threads',
    '1',
    '--detectors',
    detectors,
    '--results',
    results,
  );
}
