/**
 * What workers are given through a queue: batches of images to score, and detectors to make. Whatever runs twice gives the
 * same files, so a worker may end at any time.
 */
import { createHash } from 'node:crypto';

/** The queue unless another is named. */
export const defaultQueue = 'mkd';

/** How rows are written. */
export const rowFormats = ['jsonl', 'parquet'] as const;

export type RowFormat = (typeof rowFormats)[number];

/** Scores images, and writes a row for each to one file. */
export interface ScoreTask {
  readonly detector: string;
  /** By default the one that is current when the task begins. */
  readonly version?: string;
  /** Paths that every worker sees, or `s3://bucket/key`. */
  readonly images: readonly string[];
  /** The file: a path, or `s3://bucket/key`. */
  readonly out: string;
  readonly format: RowFormat;
}

/** Makes a detector from photos, or another version of it. */
export interface DistillTask {
  readonly detector: string;
  /** Folder that every worker sees. */
  readonly dataset: string;
  readonly groupBy?: string;
  readonly fit?: 'stretch' | 'letterbox' | 'crop';
  readonly dropDoubtful?: boolean;
  readonly falseAlarmRate?: number;
}

export type Task =
  | { readonly kind: 'score'; readonly task: ScoreTask }
  | { readonly kind: 'distill'; readonly task: DistillTask };

/** What became of a batch. */
export interface ScoreOutcome {
  readonly images: number;
  readonly anomalous: number;
  readonly unreadable: number;
}

/** What became of a detector. */
export interface DistillOutcome {
  readonly detector: string;
  readonly version: string;
}

export type Outcome = ScoreOutcome | DistillOutcome;

/** The same work has the same name, so that it is not in the queue twice. */
export function taskId({ kind, task }: Task): string {
  return `${kind}-${digest(JSON.stringify(task))}`;
}

export interface BatchOptions extends Pick<ScoreTask, 'detector' | 'version' | 'format'> {
  readonly imagesPerTask: number;
}

/**
 * Cuts a list of images into tasks. Files of other lists in the same folder have other names.
 * @param out a folder, or `s3://bucket/prefix`.
 * @param first the number of the first task.
 */
export function scoreTasks(
  images: readonly string[],
  out: string,
  { imagesPerTask, ...common }: BatchOptions,
  first = 0,
): ScoreTask[] {
  const tasks: ScoreTask[] = [];
  for (let at = 0; at < images.length; at += imagesPerTask) {
    const batch = images.slice(at, at + imagesPerTask);
    const number = String(first + tasks.length).padStart(5, '0');
    const name = `part-${number}-${digest(JSON.stringify([common, batch])).slice(0, 8)}.${common.format}`;
    tasks.push({ ...common, images: batch, out: `${out}/${name}` });
  }
  return tasks;
}

/** Returns a short name that follows from a text. */
export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 24);
}
