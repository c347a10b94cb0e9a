/** The programs that the checks of a deployment run: installed by package name where that is possible. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';

/** A Debian package for each program. */
const packages = {
  prometheus: 'prometheus',
  promtool: 'prometheus',
  nginx: 'nginx-light',
  'redis-server': 'redis-server',
} as const;

export type Tool = keyof typeof packages;

/** Installs what is missing. @returns why a tool cannot be used; undefined if it can. */
export function unavailable(tool: Tool): string | undefined {
  const has = (): boolean => spawnSync('which', [tool]).status === 0;
  if (has()) return undefined;
  const name = packages[tool];
  if (process.getuid?.() !== 0) return `${tool} is not installed; as root: apt-get install ${name}`;
  spawnSync('apt-get', ['update', '-qq']);
  // The packages' own services are not wanted.
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', name], { env: environment });
  return has() ? undefined : `the package ${name} cannot be installed`;
}

/** A program that runs until it is stopped. */
export class Running {
  readonly #child: ChildProcess;
  #output = '';

  constructor(command: string, args: readonly string[], cwd?: string) {
    this.#child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output = `${this.#output}${chunk}`.slice(-4000);
      });
    }
  }

  /** Waits until an address answers with 200. @throws Error with what the program wrote, if it ends before. */
  async until(url: string, seconds = 60): Promise<void> {
    for (const end = Date.now() + 1000 * seconds; ; await wait(100)) {
      const response = await fetch(url).catch(() => undefined);
      await response?.arrayBuffer();
      if (response?.ok) return;
      if (this.ended || Date.now() > end) throw new Error(`${url} does not answer: ${this.#output}`);
    }
  }

  /** It and its children. */
  get pids(): number[] {
    const { stdout } = spawnSync('pgrep', ['--parent', String(this.#child.pid)], { encoding: 'utf8' });
    return [
      this.#child.pid as number,
      ...stdout
        .split('\n')
        .filter((line) => line !== '')
        .map(Number),
    ];
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.ended) return;
    this.#child.kill(signal);
    await once(this.#child, 'exit');
  }
}

/** Runs a command. @throws Error with what it wrote, if it fails. */
export function run(command: string, args: readonly string[], cwd?: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}
