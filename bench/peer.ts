/** Python peers: virtual environments, created once in bench/.peers, and a child process that answers requests. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Returns a Python interpreter with the requirements of a file in bench/peers, in its own virtual environment.
 * `MKD_PEER_PYTHON` overrides it.
 */
export function peerPython(requirements = 'requirements.txt'): string {
  if (process.env.MKD_PEER_PYTHON) return process.env.MKD_PEER_PYTHON;
  const environment = join(root, 'bench', '.peers', basename(requirements, '.txt'));
  const python = join(environment, 'bin', 'python');
  if (!existsSync(python)) {
    console.log(`Installing bench/peers/${requirements} into bench/.peers, once; this takes minutes.`);
    const run = (command: string, ...args: string[]): void => {
      const { status } = spawnSync(command, args, { stdio: 'inherit' });
      if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed`);
    };
    run('python3', '-m', 'venv', environment);
    run(python, '-m', 'pip', 'install', '--quiet', '-r', join(root, 'bench', 'peers', requirements));
  }
  return python;
}

export interface Peer {
  ask(request: object): Promise<Record<string, unknown>>;
  close(): Promise<void>;
}

/** Starts a script of bench/peers that answers each JSON line with another. */
export async function startPeer(
  script: string,
  args: readonly string[],
  requirements?: string,
): Promise<Peer> {
  const child = spawn(peerPython(requirements), [join(root, 'bench', 'peers', script), ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<Record<string, unknown>> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${script} ended without an answer`);
    const answer = JSON.parse(value) as Record<string, unknown>;
    if (answer.error) throw new Error(`${script}: ${String(answer.error)}`);
    return answer;
  };
  await next();
  return {
    ask(request) {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      return next();
    },
    async close() {
      child.stdin.end();
      await once(child, 'exit');
    },
  };
}
