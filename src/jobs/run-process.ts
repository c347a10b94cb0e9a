/** Runs a job in a process of its own, which has a lower priority than the service. */
import { type ChildProcess, fork } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { FromProcess, JobTask } from './process-messages.js';

const program = fileURLToPath(new URL('./job-process.js', import.meta.url));

/** How long a process may take to stop. */
const stopMs = 5000;

/** How much is kept of what a process says before it dies. */
const lastWords = 500;

export interface RunningProcess {
  /** Resolves when the detector is made. @throws JobFailed */
  readonly ended: Promise<void>;
  /** Stops the process; {@link ended} rejects. */
  stop(): void;
}

/** The message says why, and what would be right. */
export class JobFailed extends Error {
  override readonly name = 'JobFailed';

  constructor(
    message: string,
    /** Whether the same photos may do tomorrow. */
    readonly mayPass: boolean,
  ) {
    super(message);
  }
}

/** Starts a job. @param onMessage called with what it tells meanwhile. */
export function startProcess(task: JobTask, onMessage: (message: FromProcess) => void): RunningProcess {
  const child = fork(program, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: [] });
  lowerPriority(child);
  let words = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-lastWords);
  });
  const ended = new Promise<void>((resolve, reject) => {
    let last: FromProcess | undefined;
    child.on('message', (message: FromProcess) => {
      last = message;
      if (message.kind !== 'done' && message.kind !== 'failed') onMessage(message);
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      if (last?.kind === 'done') resolve();
      else if (last?.kind === 'failed') reject(new JobFailed(last.message, last.mayPass));
      else {
        const said = words.trim() || 'it said nothing';
        reject(new JobFailed(`its process ended (${signal ?? code}): ${said}`, true));
      }
    });
  });
  // Whoever waits for it may come later.
  ended.catch(() => undefined);
  child.send(task);
  return {
    ended,
    stop() {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), stopMs).unref();
      child.once('exit', () => clearTimeout(late));
    },
  };
}

/** Scoring comes first. */
function lowerPriority({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has ended already, or the system does not allow it.
  }
}
