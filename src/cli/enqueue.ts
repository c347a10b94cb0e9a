import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { DatasetError, isImageName, listImages, wantedFiles } from '../datasets/index.js';
import { isFolder } from '../files/folders.js';
import { isObject, Storage } from '../files/storage.js';
import { type Fit, fits } from '../imaging/index.js';
import {
  type DistillTask,
  defaultAttempts,
  type RowFormat,
  rowFormats,
  scoreTasks,
  type Task,
  TaskQueue,
} from '../queue/index.js';
import { falseAlarmRateOption, type JsonFlag, jsonOption, UsageError, wholeNumber } from './options.js';
import { type Output, printResult, ReportedFailure } from './output.js';
import { startProgress } from './progress.js';
import { type QueueFlags, withQueueOptions } from './queue-options.js';

interface Flags extends QueueFlags, JsonFlag {
  readonly detector?: string;
  readonly detectorVersion?: string;
  readonly out?: string;
  readonly format: RowFormat;
  readonly batch: number;
  readonly attempts: number;
  readonly distill?: string;
  readonly groupBy?: string;
  readonly fit?: Fit;
  readonly dropDoubtful?: true;
  readonly falseAlarmRate?: number;
  readonly wait?: true;
  readonly status?: true;
  readonly retryFailed?: true;
}

/** How often tasks that are waited for are asked after. */
const askEveryMs = 500;

/** `mkd enqueue` */
export function enqueueCommand(output: Output): Command {
  return withQueueOptions(new Command('enqueue'))
    .description('Queue images to score, or a detector to make, for the machines that run mkd worker.')
    .argument(
      '[what...]',
      'images, folders of them, lists of them (.txt, one in a line), or s3://bucket/prefix; with --distill the folder of good photos. Workers must see the same paths',
    )
    .option('--detector <name>', 'detector to score with, as the workers call it')
    .option('--detector-version <version>', 'its version; by default the current one when a batch begins')
    .option('--out <folder>', 'where the files of rows go: a folder that workers see, or s3://bucket/prefix')
    .addOption(new Option('--format <name>', 'of the rows').choices(rowFormats).default('jsonl'))
    .option('--batch <n>', 'images of a task, which has a file of rows of its own', wholeNumber(1), 100)
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
    .addOption(falseAlarmRateOption())
    .option('--wait', 'wait until it is done; exits with 1 if a task failed for good')
    .option('--status', 'print how many tasks of the queue wait, are in work, are done and failed')
    .option('--retry-failed', 'queue all tasks again that failed for good')
    .addOption(jsonOption())
    .action(async (what: string[], flags: Flags) => {
      const tasks = await tasksOf(what, flags);
      const queue = await TaskQueue.open(flags);
      try {
        if (flags.retryFailed) {
          const again = await queue.retryFailed();
          printResult(output, flags, { again }, () => `${again} failed tasks are queued again\n`);
        }
        if (tasks.length > 0) await enqueue(queue, tasks, flags, output);
        if (flags.status) {
          const counts = await queue.counts();
          const { waiting, active, done, failed } = counts;
          printResult(
            output,
            flags,
            counts,
            () => `${waiting} wait, ${active} in work, ${done} done, ${failed} failed\n`,
          );
        }
      } finally {
        await queue.close();
      }
    });
}

async function enqueue(
  queue: TaskQueue,
  tasks: readonly Task[],
  flags: Flags,
  output: Output,
): Promise<void> {
  const ids = await queue.add(tasks, flags.attempts);
  const images = tasks.reduce((sum, task) => sum + imagesIn(task), 0);
  printResult(output, flags, { tasks: ids.length, images }, () =>
    flags.distill === undefined
      ? `${images} images are queued in ${ids.length} tasks\n`
      : `${flags.distill} is queued to be made\n`,
  );
  if (flags.wait) await waitFor(queue, ids, tasks, output);
}

function imagesIn({ kind, task }: Task): number {
  return kind === 'score' ? task.images.length : 0;
}

/** @throws ReportedFailure if a task failed for good. */
async function waitFor(
  queue: TaskQueue,
  ids: readonly string[],
  tasks: readonly Task[],
  output: Output,
): Promise<void> {
  const progress = startProgress(output);
  const failures = new Map<string, string>();
  const sizes = new Map(ids.map((id, at) => [id, Math.max(1, imagesIn(tasks[at] as Task))]));
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  let left = [...new Set(ids)];
  let done = 0;
  try {
    while (left.length > 0) {
      const ended = await queue.ended(left);
      const gone = new Set([...ended.done, ...ended.failed.keys()]);
      for (const id of gone) done += sizes.get(id) ?? 0;
      for (const [id, reason] of ended.failed) failures.set(id, reason);
      left = left.filter((id) => !gone.has(id));
      progress.update('in work', done, total);
      if (left.length > 0) await wait(askEveryMs);
    }
  } finally {
    progress.stop();
  }
  for (const [id, reason] of failures) output.stderr.write(`mkd: ${id} failed for good: ${reason}\n`);
  if (failures.size > 0) throw new ReportedFailure(`${failures.size} tasks failed`);
}

/** @throws UsageError; DatasetError if there are no images. */
async function tasksOf(what: readonly string[], flags: Flags): Promise<Task[]> {
  const { distill, detector, detectorVersion: version, out, format, batch } = flags;
  if (what.length === 0) {
    if (flags.status || flags.retryFailed) return [];
    throw new UsageError('nothing to queue: name images, folders or lists');
  }
  if (distill !== undefined) return [distillTask(what, distill, flags)];
  if (detector === undefined || out === undefined) {
    throw new UsageError(`scoring needs ${detector === undefined ? '--detector' : '--out'}`);
  }
  const images = await imagesOf(what);
  return scoreTasks(images, {
    detector,
    ...(version === undefined ? {} : { version }),
    format,
    out: isObject(out) ? out : resolve(out),
    imagesPerTask: batch,
  });
}

function distillTask(what: readonly string[], detector: string, flags: Flags): Task {
  const [dataset, ...more] = what;
  if (dataset === undefined || more.length > 0) throw new UsageError('--distill takes one folder of photos');
  if (flags.detector !== undefined || flags.out !== undefined) {
    throw new UsageError(
      '--distill names the detector, which goes to the folder of the workers: leave out --detector and --out',
    );
  }
  const { groupBy, fit, dropDoubtful, falseAlarmRate } = flags;
  const given = Object.entries({ groupBy, fit, dropDoubtful, falseAlarmRate }).filter(
    ([, value]) => value !== undefined,
  );
  return {
    kind: 'distill',
    task: { detector, dataset: resolve(dataset), ...(Object.fromEntries(given) as Partial<DistillTask>) },
  };
}

/** Returns the images of all arguments; paths are absolute. @throws DatasetError if one has none. */
async function imagesOf(what: readonly string[]): Promise<string[]> {
  const storage = new Storage();
  const found: string[] = [];
  try {
    for (const reference of what) {
      const images = await imagesAt(reference, storage);
      if (images.length === 0) throw new DatasetError(`${reference} has no images; wanted ${wantedFiles}`);
      found.push(...images);
    }
  } finally {
    await storage.close();
  }
  return [...new Set(found)];
}

async function imagesAt(reference: string, storage: Storage): Promise<readonly string[]> {
  if (isObject(reference)) {
    if (isImageName(reference)) return [reference];
    return (await storage.list(reference)).map((object) => object.reference).filter(isImageName);
  }
  if (reference.endsWith('.txt')) {
    const lines = (await readFile(reference, 'utf8')).split(/\r?\n/).map((line) => line.trim());
    return lines.filter((line) => line !== '').map((line) => (isObject(line) ? line : resolve(line)));
  }
  if (await isFolder(reference)) return (await listImages(resolve(reference), true)).images;
  return [resolve(reference)];
}
