/** A worker as operators run it: a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

export class WorkerProcess {
  readonly lines: Record<string, unknown>[] = [];
  readonly #child: ChildProcess;
  #waiting: (() => void) | undefined;

  constructor(redis: string, detectors: string, ...flags: readonly string[]) {
    const args = ['worker', '--redis', redis, '--detectors', detectors, '--provider', 'cpu', ...flags];
    this.#child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      this.lines.push(JSON.parse(line) as Record<string, unknown>);
      this.#waiting?.();
    });
    this.#child.once('exit', () => this.#waiting?.());
  }

  /** Waits for the n-th line with this message. @throws Error if the process ends before. */
  async said(message: string, times = 1): Promise<Record<string, unknown>> {
    for (;;) {
      const found = this.lines.filter(({ msg }) => msg === message)[times - 1];
      if (found) return found;
      if (this.ended) throw new Error(`the worker ended before it said: ${message}`);
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** @returns its exit code. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (!this.ended) {
      this.#child.kill(signal);
      await once(this.#child, 'exit');
    }
    return this.#child.exitCode;
  }
}
