/** Starts a service for a measurement; a client with persistent connections. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { Agent, type OutgoingHttpHeaders, request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { root } from './peer.js';

export interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: Buffer;
}

/** An HTTP client with persistent connections. */
export class Client {
  readonly #agent: Agent;

  constructor(
    readonly port: number,
    connections: number,
  ) {
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  send(method: string, path: string, body?: Uint8Array, headers: OutgoingHttpHeaders = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const length = body ? { 'content-length': body.length } : {};
      const options = { host: '127.0.0.1', port: this.port, method, path, agent: this.#agent };
      const outgoing = request({ ...options, headers: { ...length, ...headers } }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        );
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  /** Waits until a path returns 200. */
  async until(path: string): Promise<void> {
    for (;;) {
      const { status } = await this.send('GET', path).catch(() => ({ status: 0 }));
      if (status === 200) return;
      await wait(200);
    }
  }

  close(): void {
    this.#agent.destroy();
  }
}

export interface Service {
  readonly process: ChildProcess;
  /** Returns the resident memory in bytes. */
  residentBytes(): Promise<number>;
  /** Returns the most resident memory that it ever had, in bytes. */
  peakBytes(): Promise<number>;
  /** Returns the number of open sockets, of clients and its own. */
  sockets(): Promise<number>;
  /** Ends it with SIGTERM. @returns its exit code. */
  stop(): Promise<number | null>;
}

/** Starts `mkd serve` as users do, in its own process, and waits until it is ready. */
export function startService(port: number, ...flags: readonly string[]): Promise<Service> {
  return startServiceOf(root, port, ...flags);
}

/** Starts `mkd serve` of another checkout, which must be built. */
export async function startServiceOf(
  checkout: string,
  port: number,
  ...flags: readonly string[]
): Promise<Service> {
  const main = join(checkout, 'dist/src/cli/main.js');
  // The service refuses unknown MKD_ variables.
  const { MKD_PEER_PYTHON: _, ...environment } = process.env;
  const child = spawn(main, ['serve', '--port', String(port), '--host', '127.0.0.1', ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...environment, LOG_LEVEL: 'warn' },
  });
  createInterface({ input: child.stdout }).on('line', () => {});
  const gone = once(child, 'exit').then(() => {
    throw new Error(`mkd serve ended with ${child.exitCode}`);
  });
  const client = new Client(port, 1);
  await Promise.race([client.until('/health/ready'), gone]);
  client.close();
  gone.catch(() => undefined);
  const memory = async (entry: string): Promise<number> => {
    const text = await readFile(`/proc/${child.pid}/status`, 'utf8');
    return 1024 * Number(new RegExp(`${entry}:\\s+(\\d+)`).exec(text)?.[1]);
  };
  return {
    process: child,
    residentBytes: () => memory('VmRSS'),
    peakBytes: () => memory('VmHWM'),
    sockets: async () => {
      const folder = `/proc/${child.pid}/fd`;
      const names = await readdir(folder);
      const targets = await Promise.all(names.map((name) => readlink(join(folder, name)).catch(() => '')));
      return targets.filter((target) => target.startsWith('socket:')).length;
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      child.kill('SIGTERM');
      await once(child, 'exit');
      return child.exitCode;
    },
  };
}

/** Returns a multipart/form-data body with one file, and its content type. */
export function multipart(field: string, file: Uint8Array): { body: Buffer; headers: OutgoingHttpHeaders } {
  const boundary = 'mkd-bench-7d1f3c';
  const head = `--${boundary}\r\ncontent-disposition: form-data; name="${field}"; filename="a.jpg"\r\ncontent-type: image/jpeg\r\n\r\n`;
  return {
    body: Buffer.concat([Buffer.from(head), file, Buffer.from(`\r\n--${boundary}--\r\n`)]),
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
  };
}

/** Runs `work` `count` times over several connections. @returns runs per second. */
export async function rateOf(count: number, connections: number, work: () => Promise<void>): Promise<number> {
  let begun = 0;
  const began = performance.now();
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (begun++ < count) await work();
    }),
  );
  return (1000 * count) / (performance.now() - began);
}

/** Returns the value that this share of the values does not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const ascending = [...values].sort((a, b) => a - b);
  return ascending[Math.min(ascending.length - 1, Math.floor(share * ascending.length))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);
