/** Peers in Python: their virtual environments, made once in bench/.peers, and a child process to talk to. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/**
 * The interpreter with what a file of bench/peers names, in an environment of its own; `MKD_PEER_PYTHON` brings
 * another.
 */
export function peerPython(requirements = 'requirements.txt'): string {
  if (process.env.MKD_PEER_PYTHON) return process.env.MKD_PEER_PYTHON;
  const environment = join(root, 'bench', '.peers', basename(requirements, '.txt'));
  const python = join(environment, 'bin', 'python');
  if (!existsSync(python)) {
    console.log(
      `Installing what bench/peers/${requirements} names into bench/.peers, once; this takes minutes.`,
    );
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

/** Starts a script of bench/peers that answers one JSON line with another. */
export async function startPeer(script: string, args: readonly string[]): Promise<Peer> {
  const child = spawn(peerPython(), [join(root, 'bench', 'peers', script), ...args], {
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
