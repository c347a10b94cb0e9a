/** The command line `mkd`: one file for each command, and what all of them share. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { DistillSettingsError } from '../distillation/index.js';
import { describeError } from '../files/explain.js';
import { addCommand } from './add.js';
import { calibrateCommand } from './calibrate.js';
import { completionCommand } from './completion.js';
import { distillCommand } from './distill.js';
import { evaluateCommand } from './evaluate.js';
import { expertCommand } from './expert.js';
import { exportCommand } from './export.js';
import { keysCommand } from './keys.js';
import { UsageError } from './options.js';
import { type Output, ReportedFailure } from './output.js';
import { sampleCommand } from './sample.js';
import { scoreCommand } from './score.js';
import { serveCommand } from './serve.js';
import { verifyCommand } from './verify.js';

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const commands = [
  distillCommand,
  addCommand,
  scoreCommand,
  verifyCommand,
  serveCommand,
  sampleCommand,
  evaluateCommand,
  calibrateCommand,
  exportCommand,
  expertCommand,
  keysCommand,
  completionCommand,
];

/**
 * Runs a command.
 * @param args without the names of Node.js and the script.
 * @returns the exit code. 0: done; 1: it failed; 2: the call was wrong.
 */
export async function runProgram(args: readonly string[], output: Output): Promise<number> {
  try {
    await programWith(output).parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    // Commander has already reported it. Asking for help is no error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof ReportedFailure) return 1;
    output.stderr.write(`mkd: ${inFlags(describeError(error))}\n`);
    if (process.env.MKD_DEBUG && error instanceof Error) output.stderr.write(`${error.stack}\n`);
    return error instanceof UsageError || error instanceof DistillSettingsError ? 2 : 1;
  }
}

/** Settings of the library that have another name on the command line. */
const flags: Readonly<Record<string, string>> = {
  regionOfInterest: '--roi',
  groupBy: '--group-by',
  tileScale: '--tile-scale',
  size: '--size',
  fit: '--fit',
  remove: '--remove',
};

/** Names the option that a message begins with as users know it. */
function inFlags(message: string): string {
  return message.replace(/^(\w+)(?=[ :])/, (name) => flags[name] ?? name);
}

function programWith(output: Output): Command {
  const program = new Command('mkd')
    .description('Anomaly detection and localization by Multiresolution Knowledge Distillation.')
    .version(version)
    .showHelpAfterError('(--help shows what the command takes)')
    .configureOutput({
      writeOut: (text) => output.stdout.write(text),
      writeErr: (text) => output.stderr.write(text),
    })
    .exitOverride();
  for (const create of commands) {
    const command = create(output);
    for (const each of [command, ...command.commands]) each.copyInheritedSettings(program);
    program.addCommand(command);
  }
  return program;
}
