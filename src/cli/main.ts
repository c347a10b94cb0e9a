#!/usr/bin/env -S MALLOC_ARENA_MAX=2 node
/** Starts the command line with the process's own streams. */
import { describeError } from '../files/explain.js';
import { runProgram } from './program.js';

// The reader may stop reading, as head does. That is not a failure, and files may still have to be written.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return;
  process.stderr.write(`mkd: the output cannot be written: ${describeError(error)}\n`);
  process.exit(1);
});

process.exitCode = await runProgram(process.argv.slice(2), process);
