/** The queue between who has work and who does it: BullMQ on Redis. */
import { type Job, Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { describeError } from '../files/explain.js';
import type { JobProgress } from '../jobs/index.js';
import { type Outcome, type ScoreTask, type Task, taskId } from './tasks.js';

/** How often a task is tried. */
export const defaultAttempts = 5;

/** A task that failed is tried again after 1, 2, 4 ... seconds. */
const firstDelayMs = 1000;

/** What became of a task is known for a day. */
const keptSeconds = 86_400;

/** States of tasks that nobody works on or will. */
const hasEnded: ReadonlySet<string> = new Set(['completed', 'failed', 'unknown']);

/** Tasks sent to Redis at once. */
const sentAtOnce = 500;

export interface QueueAddress {
  /** `redis://` or `rediss://` */
  readonly redis: string;
  /** Name of the queue. */
  readonly queue: string;
}

/** Counts of tasks by what became of them. */
export interface Counts {
  readonly waiting: number;
  readonly active: number;
  readonly done: number;
  readonly failed: number;
}

export interface Added {
  readonly ids: readonly string[];
  /** Those that were not in the queue. */
  readonly queued: ReadonlySet<string>;
}

export interface FailedTask {
  readonly id: string;
  readonly kind: Task['kind'];
  readonly detector: string;
  /** 0 if a detector was to be made. */
  readonly images: number;
  readonly reason: string;
}

/** What became of a task: its outcome, or why it failed for good. */
export type Ending = { readonly outcome: Outcome } | { readonly failed: string };

/** Connects to Redis. @throws Error if it cannot be reached, or may drop tasks. */
export async function connect(url: string): Promise<Redis> {
  const redis = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: null, connectTimeout: 5000 });
  // Later errors are told by whoever uses the connection, which comes back by itself.
  const first = new Promise<never>((_, reject) => redis.on('error', reject));
  first.catch(() => undefined);
  try {
    await Promise.race([redis.connect(), first]);
  } catch (error) {
    redis.disconnect();
    throw new Error(`Redis cannot be reached at ${withoutPassword(url)}: ${describeError(error)}`);
  }
  const memory = await redis.info('memory');
  const [policy, most] = ['maxmemory_policy', 'maxmemory'].map((name) => lineOf(memory, name));
  if (policy !== undefined && policy !== 'noeviction' && most !== '0') {
    redis.disconnect();
    throw new Error(
      `Redis at ${withoutPassword(url)} may drop tasks: its maxmemory-policy is ${policy}; use one with noeviction for the queue`,
    );
  }
  return redis;
}

/** Reads a line of what Redis says of itself. */
function lineOf(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
}

/** Returns an address that may be shown. */
export function withoutPassword(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//');
}

export class TaskQueue {
  private constructor(
    private readonly redis: Redis,
    private readonly queue: Queue,
  ) {}

  static async open({ redis: url, queue: name }: QueueAddress): Promise<TaskQueue> {
    const redis = await connect(url);
    try {
      const queue = new Queue(name, {
        connection: redis,
        defaultJobOptions: {
          backoff: { type: 'exponential', delay: firstDelayMs },
          removeOnComplete: { age: keptSeconds },
        },
      });
      queue.on('error', () => {});
      return new TaskQueue(redis, queue);
    } catch (error) {
      redis.disconnect();
      throw error;
    }
  }

  /**
   * Queues tasks. Those that wait or are in work stay as they are; those that have ended are done again.
   * @returns the names of all, and of those that were not in the queue.
   */
  async add(tasks: readonly Task[], attempts = defaultAttempts): Promise<Added> {
    const ids: string[] = [];
    const queued: string[] = [];
    for (let at = 0; at < tasks.length; at += sentAtOnce) {
      const jobs = tasks.slice(at, at + sentAtOnce).map((task) => ({
        name: task.kind,
        data: task.task,
        opts: { jobId: taskId(task), attempts },
      }));
      const states = await Promise.all(jobs.map(({ opts }) => this.queue.getJobState(opts.jobId)));
      const added = jobs.filter((_, index) => hasEnded.has(states[index] ?? ''));
      await Promise.all(added.map(({ opts }) => this.queue.remove(opts.jobId)));
      await this.queue.addBulk(added);
      ids.push(...jobs.map(({ opts }) => opts.jobId));
      queued.push(...added.map(({ opts }) => opts.jobId));
    }
    return { ids, queued: new Set(queued) };
  }

  /** Queues failed tasks again, as if they were new. @returns how many. */
  async retryFailed(): Promise<number> {
    return this.#eachFailed((job) => job.retry('failed', { resetAttemptsMade: true }));
  }

  /** Removes tasks that failed for good. @returns how many. */
  async forgetFailed(): Promise<number> {
    return this.#eachFailed((job) => job.remove());
  }

  /** Returns tasks that failed for good, the newest first. */
  async failed(most: number): Promise<FailedTask[]> {
    const jobs = await this.queue.getFailed(0, most - 1);
    return jobs.map(({ id = '', name, data, failedReason }) => ({
      id,
      kind: name as Task['kind'],
      detector: (data as Task['task']).detector,
      images: (data as Partial<ScoreTask>).images?.length ?? 0,
      reason: failedReason,
    }));
  }

  async #eachFailed(work: (job: Job) => Promise<unknown>): Promise<number> {
    const { failed } = await this.counts();
    for (let left = failed; left > 0; left -= sentAtOnce) {
      // Those before are no longer among them.
      await Promise.all((await this.queue.getFailed(0, Math.min(left, sentAtOnce) - 1)).map(work));
    }
    return failed;
  }

  /** Returns how many workers are there. */
  async workers(): Promise<number> {
    return this.queue.getWorkersCount();
  }

  async counts(): Promise<Counts> {
    const counts = await this.queue.getJobCounts(
      'wait',
      'delayed',
      'prioritized',
      'active',
      'completed',
      'failed',
    );
    const of = (...states: string[]): number => states.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
    return {
      waiting: of('wait', 'delayed', 'prioritized'),
      active: of('active'),
      done: of('completed'),
      failed: of('failed'),
    };
  }

  /** Returns how far a detector is that is being made. */
  async progress(id: string): Promise<JobProgress | undefined> {
    const progress = (await this.queue.getJob(id))?.progress;
    return typeof progress === 'object' ? (progress as JobProgress) : undefined;
  }

  /** Returns what became of those of some tasks that have ended. */
  async ended(ids: readonly string[]): Promise<Map<string, Ending>> {
    // Asked at once, so that they share their way to Redis.
    const states = await Promise.all(ids.map((id) => this.queue.getJobState(id)));
    const endings = new Map<string, Ending>();
    for (const [index, id] of ids.entries()) {
      if (!hasEnded.has(states[index] ?? '')) continue;
      const job = await this.queue.getJob(id);
      endings.set(
        id,
        states[index] === 'completed'
          ? { outcome: job?.returnvalue as Outcome }
          : { failed: job?.failedReason ?? 'Redis has forgotten it; queue it again' },
      );
    }
    return endings;
  }

  async close(): Promise<void> {
    await this.queue.close();
    this.redis.disconnect();
  }
}
