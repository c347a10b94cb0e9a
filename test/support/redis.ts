/** A real Redis server for tests and checks, on a port of its own. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort } from './free-port.js';

/** Why there is no server for tests; false if there is one. */
export const noRedis: string | false =
  spawnSync('redis-server', ['--version']).status === 0 ? false : 'redis-server is not installed';

export class RedisServer {
  #process: ChildProcess | undefined;

  private constructor(
    readonly port: number,
    private readonly folder: string | undefined,
  ) {}

  /** @param folder where it keeps what it was told; without one it forgets when it ends. */
  static async start(folder?: string): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), folder);
    await server.begin();
    return server;
  }

  get pid(): number {
    return this.#process?.pid as number;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it again. */
  async begin(): Promise<void> {
    const kept = this.folder
      ? ['--appendonly', 'yes', '--appendfsync', 'always', '--dir', this.folder]
      : ['--appendonly', 'no'];
    const args = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', ...kept];
    this.#process = spawn('redis-server', args, { stdio: 'ignore' });
    for (;;) {
      const client = new Redis(this.url, { lazyConnect: true, retryStrategy: () => null });
      client.on('error', () => {});
      const answer = await client
        .connect()
        .then(() => client.ping())
        .catch(() => undefined);
      client.disconnect();
      if (answer === 'PONG') return;
      await wait(50);
    }
  }

  /** What it says of itself. */
  async info(): Promise<string> {
    const client = new Redis(this.url);
    const said = await client.info('memory');
    client.disconnect();
    return said;
  }

  /** Ends it, as a crash does. */
  async kill(): Promise<void> {
    if (!this.#process || this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }
}
