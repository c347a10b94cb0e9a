/**
 * The folder that rows are written to. It remembers its tasks in `_tasks`, which readers of tables leave out: an image that was
 * queued before keeps its row, also if the list has grown, tasks have another size, or Redis has forgotten everything.
 */
import { basename, dirname } from 'node:path';
import type { Storage } from '../files/storage.js';
import { type BatchOptions, digest, type ScoreTask, scoreTasks } from './tasks.js';

/** The tasks of some images. */
export interface Assigned {
  /** Their rows are there. */
  readonly done: readonly DoneTask[];
  readonly missing: readonly ScoreTask[];
}

export interface DoneTask {
  readonly task: ScoreTask;
  /** Images of it that could not be read. */
  readonly unreadable: number;
}

export class RowFolder {
  private constructor(
    private readonly path: string,
    private readonly storage: Storage,
    private readonly tasks: ScoreTask[],
    private readonly files: ReadonlySet<string>,
    private readonly unreadable: ReadonlyMap<string, number>,
  ) {}

  /** @param path a folder, which need not exist, or `s3://bucket/prefix`. @throws Error if it cannot be read. */
  static async open(path: string, storage: Storage): Promise<RowFolder> {
    const memory = `${path}/_tasks`;
    const tasks: ScoreTask[] = [];
    const unreadable = new Map<string, number>();
    for (const name of await storage.names(memory)) {
      const text = Buffer.from(await storage.read(`${memory}/${name}`)).toString();
      if (name.endsWith(countSuffix)) {
        unreadable.set(name.slice(0, -countSuffix.length), Number(text));
        continue;
      }
      if (!name.endsWith('.jsonl')) continue;
      try {
        for (const line of text.trimEnd().split('\n')) {
          const task = JSON.parse(line) as ScoreTask;
          // The folder may have been moved.
          tasks.push({ ...task, out: `${path}/${basename(task.out)}` });
        }
      } catch {
        throw new Error(`${memory}/${name} is damaged; name another folder for the rows`);
      }
    }
    return new RowFolder(path, storage, tasks, new Set(await storage.names(path)), unreadable);
  }

  /**
   * Returns the tasks that give each image its row: those that it has had, and new ones for images that are new. Rows of
   * another detector, version or format are others.
   */
  async assign(images: readonly string[], options: BatchOptions): Promise<Assigned> {
    const wanted = new Set(images);
    const kind = kindOf(options);
    const same = this.tasks.filter((task) => kindOf(task) === kind);
    const before = same.filter((task) => task.images.some((image) => wanted.has(image)));
    for (const task of before) for (const image of task.images) wanted.delete(image);
    const fresh = scoreTasks([...wanted], this.path, options, this.tasks.length);
    await this.#remember(fresh);
    const all = [...before, ...fresh];
    const isDone = ({ out }: ScoreTask): boolean => this.files.has(basename(out));
    const done = all.filter(isDone).map((task) => ({
      task,
      unreadable: this.unreadable.get(basename(task.out)) ?? 0,
    }));
    return { done, missing: all.filter((task) => !isDone(task)) };
  }

  /** Each call has a file of its own, so that calls from several machines do not overwrite each other's. */
  async #remember(tasks: readonly ScoreTask[]): Promise<void> {
    if (tasks.length === 0) return;
    const text = tasks.map((task) => `${JSON.stringify(task)}\n`).join('');
    await this.storage.write(`${this.path}/_tasks/${digest(text)}.jsonl`, Buffer.from(text));
    this.tasks.push(...tasks);
  }
}

/** Ends the name of the file with the number of images of a task that could not be read, if there were any. */
const countSuffix = '.unreadable';

/** Notes how many images of a task could not be read, unless it is none and never was more. */
export async function noteUnreadable(storage: Storage, out: string, count: number): Promise<void> {
  const file = `${dirname(out)}/_tasks/${basename(out)}${countSuffix}`;
  const isThere = () =>
    storage.read(file).then(
      () => true,
      () => false,
    );
  if (count > 0 || (await isThere())) await storage.write(file, Buffer.from(`${count}\n`));
}

function kindOf({ detector, version, format }: Omit<BatchOptions, 'imagesPerTask'>): string {
  return JSON.stringify([detector, version, format]);
}
