/** Runs commands of the program in the process of a test. */
import { Writable } from 'node:stream';
import { runProgram } from '../../src/cli/program.js';

export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export function runMkd(...args: readonly string[]): Promise<Ended> {
  return runMkdOn({ terminal: false }, ...args);
}

/** @param terminal whether it writes to a terminal, as far as it knows. */
export async function runMkdOn(
  { terminal }: { readonly terminal: boolean },
  ...args: readonly string[]
): Promise<Ended> {
  const written = { out: '', err: '' };
  const stream = (name: keyof typeof written) =>
    Object.assign(
      new Writable({
        write(chunk, _encoding, done) {
          written[name] += String(chunk);
          done();
        },
      }),
      { isTTY: terminal },
    );
  const code = await runProgram(args, { stdout: stream('out'), stderr: stream('err') });
  return { code, ...written };
}
