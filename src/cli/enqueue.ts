import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { DatasetError } from '../datasets/index.js';
import { checkGroupBy } from '../distillation/groups.js';
import { describeError } from '../files/explain.js';
import { isFolder } from '../files/folders.js';
import { isObject, Storage } from '../files/storage.js';
import { fits } from '../imaging/index.js';
import { type DistillTask, defaultAttempts, listReferences, rowFormats, TaskQueue } from '../queue/index.js';
import { checkName } from '../repository/index.js';
import { counted, falseAlarmRateOption, jsonOption, UsageError, wholeNumber } from './options.js';
import { type Output, printResult } from './output.js';
import { withQueueOptions } from './queue-options.js';
import {
  type Distilling,
  type Flags,
  makeDetector,
  mostTold,
  type Scoring,
  scoreImages,
} from './queued-work.js';

/** `mkd enqueue` */
export function enqueueCommand(output: Output): Command {
  return withQueueOptions(new Command('enqueue'))
    .description(
      'Queue images to score, or a detector to make, for the machines that run mkd worker. Images that have their rows in --out already are left out.',
    )
    .argument(
      '[what...]',
      'images, folders of them, lists of them (.txt, one in a line), or s3://bucket/prefix; with --distill the folder of good photos. Workers must see the same paths',
    )
    .option('--detector <name>', 'detector to score with, as the workers call it')
    .option('--detector-version <version>', 'its version; by default the current one when a batch begins')
    .option(
      '--out <folder>',
      'where the files of rows go: a folder that this machine and the workers see, or s3://bucket/prefix',
    )
    .addOption(new Option('--format <name>', 'of the rows').choices(rowFormats).default('jsonl'))
    .option('--batch <n>', 'images of a task, which has a file of rows of its own', wholeNumber(1), 100)
    .option(
      '--again',
      'also score images that have their rows, with the rest of their tasks; the rows are replaced',
    )
    .option('--unreadable', 'also try images again that could not be read, with the rest of their tasks')
    .option(
      '--attempts <n>',
      'how often a task is tried before it counts as failed, with longer and longer pauses',
      wholeNumber(1),
      defaultAttempts,
    )
    .option('--distill <name>', 'make a detector of this name, or a new version of it')
    .option('--group-by <part>', 'with --distill: which photos show one part, as in mkd distill')
    .addOption(new Option('--fit <how>', 'with --distill: as in mkd distill').choices(fits))
    .option('--drop-doubtful', 'with --distill: leave out photos that the others do not explain')
    .addOption(falseAlarmRateOption('with --distill: '))
    .option(
      '--wait',
      'wait until it is done; exits with 1 if an image has no score or a detector was not made',
    )
    .option(
      '--status',
      'print how many tasks of the queue wait, are in work, are done (in the last day) and failed, and why',
    )
    .option('--retry-failed', 'queue all tasks again that failed for good')
    .option('--forget-failed', 'remove all tasks that failed for good')
    .addOption(jsonOption())
    .action(async (what: string[], flags: Flags, command: Command) => {
      const work = workOf(what, flags);
      checkOptions(command, work?.kind);
      const storage = new Storage();
      try {
        const images =
          work?.kind === 'score'
            ? await listReferences(what, storage, (message) => output.stderr.write(`mkd: ${message}\n`))
            : [];
        if (work?.kind === 'distill' && !(await isFolder(work.task.dataset))) {
          throw new DatasetError(`${work.task.dataset} is not a folder of photos`);
        }
        const queue = await TaskQueue.open(flags);
        try {
          if (flags.retryFailed) await retryFailed(queue, flags, output);
          if (flags.forgetFailed) await forgetFailed(queue, flags, output);
          if (work?.kind === 'distill') await makeDetector(queue, work, flags, output);
          if (work?.kind === 'score') await scoreImages(queue, images, work, storage, flags, output);
          if (flags.status) await showStatus(queue, flags, output);
        } finally {
          await queue.close();
        }
      } finally {
        await storage.close();
      }
    });
}

/** @throws UsageError; DistillSettingsError */
function workOf(what: readonly string[], flags: Flags): Scoring | Distilling | undefined {
  const { distill, detector, out } = flags;
  if (what.length === 0) {
    if (flags.status || flags.retryFailed || flags.forgetFailed) return undefined;
    throw new UsageError('nothing to queue: name images, folders or lists');
  }
  if (distill !== undefined) return distilling(what, distill, flags);
  if (detector === undefined || out === undefined) {
    throw new UsageError(`scoring needs ${detector === undefined ? '--detector' : '--out'}`);
  }
  checkDetectorName(detector);
  return { kind: 'score', detector, out: isObject(out) ? out.replace(/\/+$/, '') : resolve(out) };
}

function distilling(what: readonly string[], detector: string, flags: Flags): Distilling {
  const [dataset, ...more] = what;
  if (dataset === undefined || more.length > 0) throw new UsageError('--distill takes one folder of photos');
  if (isObject(dataset)) throw new UsageError('--distill takes a folder that the workers see, not a bucket');
  checkDetectorName(detector);
  const { groupBy, fit, dropDoubtful, falseAlarmRate } = flags;
  if (groupBy !== undefined) checkGroupBy(groupBy);
  const given = Object.entries({ groupBy, fit, dropDoubtful, falseAlarmRate }).filter(
    ([, value]) => value !== undefined,
  );
  return {
    kind: 'distill',
    task: { detector, dataset: resolve(dataset), ...(Object.fromEntries(given) as Partial<DistillTask>) },
  };
}

function checkDetectorName(name: string): void {
  try {
    checkName(name);
  } catch (error) {
    throw new UsageError(describeError(error));
  }
}

async function retryFailed(queue: TaskQueue, flags: Flags, output: Output): Promise<void> {
  const again = await queue.retryFailed();
  printResult(output, flags, { again }, () => `${counted(again, 'failed task')} queued again\n`);
}

async function forgetFailed(queue: TaskQueue, flags: Flags, output: Output): Promise<void> {
  const forgotten = await queue.forgetFailed();
  printResult(output, flags, { forgotten }, () => `${counted(forgotten, 'failed task')} removed\n`);
}

async function showStatus(queue: TaskQueue, flags: Flags, output: Output): Promise<void> {
  const counts = await queue.counts();
  const { waiting, active, done, failed } = counts;
  const failures = await queue.failed(mostTold);
  const lines = [
    `${waiting} wait, ${active} in work, ${done} done, ${failed} failed`,
    ...failures.map(
      ({ id, kind, detector, images, reason }) =>
        `failed: ${kind === 'score' ? `${counted(images, 'image')} with ${detector}` : detector} (${id}): ${reason}`,
    ),
    ...(failed > failures.length ? [`${failed - failures.length} more failed`] : []),
  ];
  printResult(output, flags, { ...counts, failures }, () => `${lines.join('\n')}\n`);
}

const ofScoring = ['detector', 'detectorVersion', 'out', 'format', 'batch', 'again', 'unreadable'];
const ofDistilling = ['groupBy', 'fit', 'dropDoubtful', 'falseAlarmRate'];
const ofQueue = ['status', 'retryFailed', 'forgetFailed'];

/** @throws UsageError if options do not go together. */
function checkOptions(command: Command, kind: 'score' | 'distill' | undefined): void {
  const given = (names: readonly string[]): string | undefined => {
    const name = names.find((one) => command.getOptionValueSource(one) === 'cli');
    return command.options.find((option) => option.attributeName() === name)?.long;
  };
  const other = given(kind === 'score' ? ofDistilling : ofScoring);
  if (kind !== undefined) {
    if (other !== undefined)
      throw new UsageError(`${other} goes ${kind === 'score' ? 'with' : 'without'} --distill`);
    const about = given(ofQueue);
    if (about !== undefined)
      throw new UsageError(`${about} is about the whole queue: leave out what to queue`);
    return;
  }
  const idle = given([...ofScoring, ...ofDistilling, 'wait', 'attempts']);
  if (idle !== undefined) throw new UsageError(`${idle} needs images, or a folder for --distill`);
  const [first, ...more] = ofQueue.filter((name) => given([name]) !== undefined && name !== 'status');
  if (first !== undefined && more.length > 0) {
    throw new UsageError('--retry-failed and --forget-failed do not go together');
  }
}
