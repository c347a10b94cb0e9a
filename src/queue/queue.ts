/** The queue between who has work and who does it: BullMQ on Redis. */
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { describeError } from '../files/explain.js';
import { type Task, taskId } from './tasks.js';

/** How often a task is tried. */
export const defaultAttempts = 5;

/** A task that failed is tried again after 1, 2, 4 ... seconds. */
const firstDelayMs = 1000;

/** Finished tasks are known for a day: until then the same work is not queued again. */
const keptSeconds = 86_400;

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

/** Connects to Redis. @throws Error if it cannot be reached. */
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
  return redis;
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
    const queue = new Queue(name, {
      connection: redis,
      defaultJobOptions: {
        backoff: { type: 'exponential', delay: firstDelayMs },
        removeOnComplete: { age: keptSeconds },
      },
    });
    queue.on('error', () => {});
    return new TaskQueue(redis, queue);
  }

  /** Queues tasks, unless the same ones are there. @returns their names. */
  async add(tasks: readonly Task[], attempts = defaultAttempts): Promise<string[]> {
    const ids: string[] = [];
    for (let at = 0; at < tasks.length; at += sentAtOnce) {
      const part = tasks.slice(at, at + sentAtOnce);
      const jobs = part.map((task) => ({
        name: task.kind,
        data: task.task,
        opts: { jobId: taskId(task), attempts },
      }));
      await this.queue.addBulk(jobs);
      ids.push(...jobs.map(({ opts }) => opts.jobId));
    }
    return ids;
  }

  /** Queues failed tasks again. @returns how many. */
  async retryFailed(): Promise<number> {
    const { failed } = await this.counts();
    await this.queue.retryJobs({ state: 'failed' });
    return failed;
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

  /** Returns which of some tasks are done, and why others failed for good. */
  async ended(
    ids: readonly string[],
  ): Promise<{ readonly done: string[]; readonly failed: Map<string, string> }> {
    // Asked at once, so that they share their way to Redis.
    const states = await Promise.all(ids.map((id) => this.queue.getJobState(id)));
    const failed = new Map<string, string>();
    for (const id of ids.filter((_, at) => states[at] === 'failed')) {
      failed.set(id, (await this.queue.getJob(id))?.failedReason ?? 'unknown');
    }
    return { done: ids.filter((_, at) => states[at] === 'completed'), failed };
  }

  async close(): Promise<void> {
    await this.queue.close();
    this.redis.disconnect();
  }
}
