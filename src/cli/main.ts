#!/usr/bin/env -S MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=262144 node --max-semi-space-size=1
/** Starts the command line with the process's own streams. */
import { describeError } from '../files/explain.js';

// The reader may stop reading, as head does. That is not a failure, and files may still have to be written.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return;
  process.stderr.write(`mkd: the output cannot be written: ${describeError(error)}\n`);
  process.exit(1);
});

// Ctrl-C while the modules are loaded, which takes a second, and in commands that do not listen themselves.
let stopped = 'mkd: stopped before anything was begun\n';
process.on('SIGINT', function stop() {
  if (process.listenerCount('SIGINT') > 1) return;
  process.stderr.write(stopped);
  process.off('SIGINT', stop);
  process.kill(process.pid, 'SIGINT');
});

const { runProgram } = await import('./program.js');
stopped = 'mkd: stopped\n';
process.exitCode = await runProgram(process.argv.slice(2), process);
