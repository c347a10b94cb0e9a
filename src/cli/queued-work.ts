/** What `mkd enqueue` does with its queue: brings work to it, waits for it, and tells what became of it. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Storage } from '../files/storage.js';
import type { Fit } from '../imaging/index.js';
import {
  type DoneTask,
  type Ending,
  RowFolder,
  type RowFormat,
  type Task,
  type TaskQueue,
} from '../queue/index.js';
import { counted, type JsonFlag } from './options.js';
import { type Output, printResult, ReportedFailure } from './output.js';
import { distillNote, startProgress } from './progress.js';
import type { QueueFlags } from './queue-options.js';

/** Options of `mkd enqueue`. */
export interface Flags extends QueueFlags, JsonFlag {
  readonly detector?: string;
  readonly detectorVersion?: string;
  readonly out?: string;
  readonly format: RowFormat;
  readonly batch: number;
  readonly again?: true;
  readonly unreadable?: true;
  readonly attempts: number;
  readonly distill?: string;
  readonly groupBy?: string;
  readonly fit?: Fit;
  readonly dropDoubtful?: true;
  readonly falseAlarmRate?: number;
  readonly wait?: true;
  readonly status?: true;
  readonly retryFailed?: true;
  readonly forgetFailed?: true;
}

export interface Scoring {
  readonly kind: 'score';
  readonly detector: string;
  /** A folder, or `s3://bucket/prefix`. */
  readonly out: string;
}

export type Distilling = Extract<Task, { readonly kind: 'distill' }>;

/** How often tasks that are waited for are asked after. */
const askEveryMs = 500;

/** Failures that are told one by one. */
export const mostTold = 10;

/** Queues a detector to be made. @throws ReportedFailure if it is waited for, and was not made. */
export async function makeDetector(
  queue: TaskQueue,
  work: Distilling,
  flags: Flags,
  output: Output,
): Promise<void> {
  const { detector } = work.task;
  const { ids, queued } = await queue.add([work], flags.attempts);
  const [id = ''] = ids;
  if (!flags.wait || !flags.json) {
    printResult(output, flags, { tasks: queued.size, inQueue: 1 - queued.size }, () =>
      queued.size > 0 ? `${detector} is queued to be made\n` : `${detector} is in the queue already\n`,
    );
  }
  if (!flags.wait) return;
  await tellOfNoWorker(queue, flags, output);
  const progress = startProgress(output);
  progress.updateWhole('Distill', { share: 0, note: 'waiting for a worker' });
  let ending: Ending | undefined;
  try {
    while (!ending) {
      await wait(askEveryMs);
      const now = await queue.progress(id);
      if (now) progress.updateWhole('Distill', { ...now, note: distillNote(now) });
      ending = (await queue.ended([id])).get(id);
    }
  } finally {
    progress.stop();
  }
  if ('failed' in ending) {
    printResult(output, flags, { detector, error: ending.failed }, () => '');
    output.stderr.write(`mkd: ${detector} was not made: ${ending.failed}\n`);
    throw new ReportedFailure(`${detector} was not made`);
  }
  const { outcome } = ending;
  if ('version' in outcome) {
    printResult(output, flags, outcome, () => `${detector} was made: version ${outcome.version}\n`);
  }
}

/**
 * Queues images to be scored, unless they have their rows.
 * @throws ReportedFailure if they are waited for, and some have no score.
 */
export async function scoreImages(
  queue: TaskQueue,
  images: readonly string[],
  { detector, out }: Scoring,
  storage: Storage,
  flags: Flags,
  output: Output,
): Promise<void> {
  const { detectorVersion: version, format, batch: imagesPerTask } = flags;
  const folder = await RowFolder.open(out, storage);
  const options = { detector, ...(version === undefined ? {} : { version }), format, imagesPerTask };
  const { done, missing } = await folder.assign(images, options);
  const isWanted = ({ unreadable }: DoneTask): boolean =>
    flags.again === true || (flags.unreadable === true && unreadable > 0);
  const kept = done.filter((one) => !isWanted(one));
  const wanted = [...done.filter(isWanted).map(({ task }) => task), ...missing];
  const tasks = wanted.map((task) => ({ kind: 'score', task }) as const);
  const { ids, queued } = await queue.add(tasks, flags.attempts);
  const sizes = new Map(ids.map((id, at) => [id, wanted[at]?.images.length ?? 0]));
  const fresh = sum([...queued].map((id) => sizes.get(id) ?? 0));
  const inQueue = sum([...sizes.values()]) - fresh;
  const withRows = new Set(kept.flatMap(({ task }) => task.images));
  const before = images.filter((image) => withRows.has(image)).length;
  const unreadable = sum(kept.map((one) => one.unreadable));
  const result = { tasks: queued.size, images: fresh, inQueue, done: before, doneUnreadable: unreadable };
  if (!flags.wait || !flags.json) {
    const unread = unreadable > 0 ? `, ${unreadable} of them cannot be read (--unreadable tries again)` : '';
    const parts = [
      ...(fresh > 0 ? [`${counted(fresh, 'image')} queued in ${counted(queued.size, 'task')}`] : []),
      ...(inQueue > 0 ? [`${counted(inQueue, 'image')} in the queue already`] : []),
      ...(before > 0
        ? [`${counted(before, 'image')} with rows in ${out} already (--again scores them again)${unread}`]
        : []),
    ];
    printResult(output, flags, result, () => `${parts.join('; ')}\n`);
  }
  if (!flags.wait) return;
  if (sizes.size > 0 || flags.json) await waitFor(queue, sizes, result, flags, output);
  if (unreadable > 0) throw new ReportedFailure(`${unreadable} images have no score`);
}

/**
 * Waits for tasks, and tells what became of their images.
 * @param sizes images of each task.
 * @throws ReportedFailure if a task failed for good or an image cannot be read.
 */
async function waitFor(
  queue: TaskQueue,
  sizes: ReadonlyMap<string, number>,
  result: object,
  flags: Flags,
  output: Output,
): Promise<void> {
  await tellOfNoWorker(queue, flags, output);
  const progress = startProgress(output);
  const failures: string[] = [];
  const counts = { scored: 0, anomalous: 0, unreadable: 0, failed: 0 };
  const total = sum([...sizes.values()]);
  let left = [...sizes.keys()];
  let done = 0;
  try {
    while (left.length > 0) {
      const endings = await queue.ended(left);
      for (const [id, ending] of endings) {
        const size = sizes.get(id) ?? 0;
        if ('failed' in ending) {
          counts.failed += size;
          failures.push(`${counted(size, 'image')} with ${flags.detector} (${id}): ${ending.failed}`);
        } else if ('images' in ending.outcome) {
          const { images, anomalous, unreadable } = ending.outcome;
          done += images;
          counts.scored += images - unreadable;
          counts.anomalous += anomalous;
          counts.unreadable += unreadable;
        }
      }
      left = left.filter((id) => !endings.has(id));
      progress.update('done', done, total);
      if (left.length > 0) await wait(askEveryMs);
    }
  } finally {
    progress.stop();
  }
  const { scored, anomalous, unreadable, failed } = counts;
  for (const failure of failures.slice(0, mostTold)) {
    output.stderr.write(`mkd: failed for good: ${failure}\n`);
  }
  if (failures.length > mostTold) {
    output.stderr.write(`mkd: ${failures.length - mostTold} more tasks failed for good\n`);
  }
  printResult(
    output,
    flags,
    { ...result, ...counts },
    () =>
      `${counted(scored, 'image')} scored, ${anomalous} anomalous` +
      (unreadable > 0 ? `; ${unreadable} cannot be read, see "error" in the rows` : '') +
      (failed > 0 ? `; ${failed} in tasks that failed` : '') +
      '\n',
  );
  if (failed + unreadable > 0) throw new ReportedFailure(`${failed + unreadable} images have no score`);
}

async function tellOfNoWorker(queue: TaskQueue, { queue: name }: Flags, { stderr }: Output): Promise<void> {
  if ((await queue.workers()) > 0) return;
  stderr.write(`mkd: no worker takes tasks from the queue '${name}' yet; start mkd worker\n`);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
