#!/usr/bin/env -S MALLOC_ARENA_MAX=2 node
/** The command line `mkd`: one file a command. Exit code 0: done; 1: it failed; 2: the call was wrong. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { DistillSettingsError } from '../distillation/index.js';
import { explain } from '../files/explain.js';
import { calibrateCommand } from './calibrate.js';
import { distillCommand } from './distill.js';
import { evaluateCommand } from './evaluate.js';
import { expertCommand } from './expert.js';
import { keysCommand } from './keys.js';
import { UsageError } from './options.js';
import { sampleCommand } from './sample.js';
import { scoreCommand } from './score.js';
import { serveCommand } from './serve.js';
import { verifyCommand } from './verify.js';

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('mkd')
  .description('Anomaly detection and localization by Multiresolution Knowledge Distillation.')
  .version(version)
  .showHelpAfterError('(--help shows what the command takes)')
  .exitOverride();

for (const command of [
  distillCommand(),
  scoreCommand(),
  verifyCommand(),
  serveCommand(),
  sampleCommand(),
  evaluateCommand(),
  calibrateCommand(),
  expertCommand(),
  keysCommand(),
]) {
  for (const each of [command, ...command.commands]) each.copyInheritedSettings(program);
  program.addCommand(command);
}

// Whoever reads may stop reading, as head does: that is no failure, and files may still have to be written.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return;
  process.stderr.write(`mkd: the output cannot be written: ${explain(error)}\n`);
  process.exit(1);
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has said it already. Asking for help is no error.
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    process.stderr.write(`mkd: ${explain(error)}\n`);
    if (process.env.MKD_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    const wrongCall = error instanceof UsageError || error instanceof DistillSettingsError;
    process.exitCode = wrongCall ? 2 : 1;
  }
}
