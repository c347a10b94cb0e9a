/** The command line `mkd`: one file for each command, and what all of them share. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { DistillSettingsError } from '../distillation/settings.js';
import { describeError } from '../files/explain.js';
import { UsageError } from './options.js';
import { type Output, ReportedFailure } from './output.js';

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/**
 * The commands, in the order of the help. Only the one that is called is loaded: loading all of them takes longer than
 * anything else when the service starts.
 */
const commands: Readonly<Record<string, () => Promise<(output: Output) => Command>>> = {
  distill: async () => (await import('./distill.js')).distillCommand,
  add: async () => (await import('./add.js')).addCommand,
  score: async () => (await import('./score.js')).scoreCommand,
  verify: async () => (await import('./verify.js')).verifyCommand,
  serve: async () => (await import('./serve.js')).serveCommand,
  enqueue: async () => (await import('./enqueue.js')).enqueueCommand,
  worker: async () => (await import('./worker.js')).workerCommand,
  sample: async () => (await import('./sample.js')).sampleCommand,
  evaluate: async () => (await import('./evaluate.js')).evaluateCommand,
  calibrate: async () => (await import('./calibrate.js')).calibrateCommand,
  export: async () => (await import('./export.js')).exportCommand,
  expert: async () => (await import('./expert.js')).expertCommand,
  keys: async () => (await import('./keys.js')).keysCommand,
  completion: async () => (await import('./completion.js')).completionCommand,
};

/**
 * Runs a command.
 * @param args without the names of Node.js and the script.
 * @returns the exit code. 0: done; 1: it failed; 2: the call was wrong.
 */
export async function runProgram(args: readonly string[], output: Output): Promise<number> {
  try {
    await (await programWith(args, output)).parseAsync(args, { from: 'user' });
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
  epochs: '--epochs',
  batch: '--batch',
  average: '--average',
  folds: '--folds',
  lambda: '--lambda',
  resume: '--resume',
  memoryBytes: '--memory',
  dropDoubtful: '--drop-doubtful',
  keepPhotos: '--no-keep-photos',
};

/** Names the option that a message begins with as users know it. */
function inFlags(message: string): string {
  return message.replace(/^(\w+)(?=[ :])/, (name) => flags[name] ?? name);
}

async function programWith([called = '']: readonly string[], output: Output): Promise<Command> {
  const program = new Command('mkd')
    .description('Anomaly detection and localization by Multiresolution Knowledge Distillation.')
    .version(version)
    .showHelpAfterError('(--help shows what the command takes)')
    .configureOutput({
      writeOut: (text) => output.stdout.write(text),
      writeErr: (text) => output.stderr.write(text),
    })
    .exitOverride();
  const load = called === 'completion' ? undefined : commands[called];
  for (const create of await Promise.all(load ? [load()] : Object.values(commands).map((each) => each()))) {
    const command = create(output);
    for (const each of [command, ...command.commands]) each.copyInheritedSettings(program);
    program.addCommand(command);
  }
  return program;
}
