/** Does what a queue holds: scores batches and makes detectors, until it is closed. */
import { setTimeout as wait } from 'node:timers/promises';
import { type Job, Worker as QueueWorker, UnrecoverableError } from 'bullmq';
import type { Redis } from 'ioredis';
import { describeError } from '../files/explain.js';
import { Storage } from '../files/storage.js';
import type { FromProcess } from '../jobs/index.js';
import {
  DetectorRepository,
  type DetectorSource,
  defaultWatchEveryMs,
  openDetectorSource,
  type RepositoryLog,
  watchRepository,
} from '../repository/index.js';
import { DirectInference, type EngineOptions, ScoringEngine, ScoringPipeline } from '../scoring/index.js';
import { runDistillTask } from './distill-task.js';
import { connect, type QueueAddress } from './queue.js';
import type { Row } from './rows.js';
import { runScoreTask } from './score-task.js';
import { StuckError, untilStuck } from './stuck.js';
import type { DistillOutcome, DistillTask, Outcome, ScoreOutcome, ScoreTask, Task } from './tasks.js';

/** A worker that ends without a word is missed after this time, and its task goes to another. */
export const defaultLostAfterMs = 10_000;

/** A task that makes no progress for so long fails, and its worker ends. */
export const defaultStuckAfterMs = 300_000;

/** How often it is told how far a detector is. */
const tellEveryMs = 500;

/** How long a worker that is stopped tries to tell Redis. */
const goodbyeMs = 5000;

/** A task whose workers end so often ends them itself. */
const mostLosses = 10;

export interface WorkerOptions extends QueueAddress {
  /** Folder whose subfolders are detectors, or `s3://bucket/prefix`. */
  readonly detectors: string;
  readonly experts: readonly string[];
  readonly device: EngineOptions;
  /** Tasks that all workers together begin in a second; without it as many as they can. */
  readonly tasksPerSecond?: number;
  /** How long others wait for a worker that says nothing; default {@link defaultLostAfterMs}. */
  readonly lostAfterMs?: number;
  /** How long a task may make no progress; default {@link defaultStuckAfterMs}. */
  readonly stuckAfterMs?: number;
  readonly log: RepositoryLog;
  readonly observer?: WorkObserver;
}

/** Hears what becomes of tasks. */
export interface WorkObserver {
  scored?(rows: readonly Row[], seconds: number): void;
  ended?(kind: Task['kind'], outcome: 'done' | 'failed'): void;
}

export class Worker {
  #queue: QueueWorker | undefined;
  #stopping = false;
  /** The task in work; never rejects. */
  #inWork: Promise<unknown> = Promise.resolve();
  #hangs = (): void => {};
  /** Resolves when a task hangs. What hangs cannot be interrupted, so the process should end. */
  readonly stuck = new Promise<void>((resolve) => {
    this.#hangs = resolve;
  });
  /** What was last said of Redis. */
  #told = '';

  private constructor(
    private readonly options: WorkerOptions,
    private readonly engine: ScoringEngine,
    private readonly source: DetectorSource,
    private readonly repository: DetectorRepository,
    private readonly pipeline: ScoringPipeline,
    private readonly storage: Storage,
    private readonly redis: Redis,
    private readonly unwatch: () => void,
  ) {
    redis.on('error', (error: Error) => this.#report(error));
    redis.on('ready', () => {
      if (this.#told !== '') options.log.info({}, 'Redis can be reached again');
      this.#told = '';
    });
  }

  /** Starts to take tasks. @throws Error if Redis cannot be reached; DetectorError if no detector can be used. */
  static async open(options: WorkerOptions): Promise<Worker> {
    const { experts, log } = options;
    let source: DetectorSource | undefined;
    const redis = await connect(options.redis);
    const engine = await ScoringEngine.open(options.device).catch((error: unknown) => {
      redis.disconnect();
      throw error;
    });
    try {
      source = await openDetectorSource(options.detectors, defaultWatchEveryMs, log);
      const { folder: detectors, bucket } = source;
      const repository = await DetectorRepository.open(engine, { detectors, experts, bucket }, log);
      const unwatch = watchRepository(repository, defaultWatchEveryMs, log);
      const pipeline = new ScoringPipeline(new DirectInference(engine));
      const worker = new Worker(options, engine, source, repository, pipeline, new Storage(), redis, unwatch);
      await worker.#begin();
      return worker;
    } catch (error) {
      redis.disconnect();
      await source?.close();
      await engine.close();
      throw error;
    }
  }

  /** Whether it can take tasks now. */
  get ready(): boolean {
    return this.redis.status === 'ready' && !this.#stopping;
  }

  get provider(): string {
    return this.engine.provider;
  }

  /** Takes no more tasks and finishes the one that it has. */
  async close(): Promise<void> {
    this.#stopping = true;
    const closed = this.#queue?.close();
    await this.#inWork;
    // While Redis is gone, nobody takes the goodbye.
    await Promise.race([closed, wait(goodbyeMs, undefined, { ref: false })]);
    this.unwatch();
    this.redis.disconnect();
    await this.storage.close();
    await this.source.close();
    await this.engine.close();
  }

  async #begin(): Promise<void> {
    const { queue, tasksPerSecond, lostAfterMs = defaultLostAfterMs } = this.options;
    const worker = new QueueWorker(queue, (job: Job) => this.#begun(job), {
      connection: this.redis,
      // Batches follow each other; images of one are worked on at the same time.
      concurrency: 1,
      lockDuration: lostAfterMs,
      stalledInterval: lostAfterMs / 5,
      maxStalledCount: mostLosses,
      ...(tasksPerSecond === undefined ? {} : { limiter: limiterOf(tasksPerSecond) }),
    });
    worker.on('error', (error) => this.#report(error));
    worker.on('completed', (job, outcome: Outcome) => this.#done(job, outcome));
    worker.on('failed', (job, error) => this.#failed(job, error));
    this.#queue = worker;
    // A connection that is lost before this is not made again.
    await worker.waitUntilReady();
  }

  /** Redis knows that a task is done. */
  #done({ name, id, processedOn = Date.now() }: Job, outcome: Outcome): void {
    const { log, observer } = this.options;
    observer?.ended?.(name as Task['kind'], 'done');
    log.info({ task: id, ...outcome, seconds: (Date.now() - processedOn) / 1000 }, 'task done');
  }

  #failed(job: Job | undefined, error: Error): void {
    const { log, observer } = this.options;
    const { name = 'score', id, attemptsMade = 0, opts } = job ?? {};
    const isLast = attemptsMade >= (opts?.attempts ?? 1) || error instanceof UnrecoverableError;
    const details = {
      task: id,
      detector: job?.data.detector,
      attempt: attemptsMade,
      reason: describeError(error),
    };
    if (isLast) {
      observer?.ended?.(name as Task['kind'], 'failed');
      log.error(details, 'task failed for good; mkd enqueue --retry-failed queues it again');
    } else log.warn(details, 'task failed; it is tried again');
    if (error instanceof StuckError) this.#hangs();
  }

  #begun(job: Job): Promise<Outcome> {
    const outcome = this.#do(job);
    this.#inWork = outcome.catch(() => undefined);
    return outcome;
  }

  async #do(job: Job): Promise<Outcome> {
    const { name, data } = job;
    const { stuckAfterMs = defaultStuckAfterMs } = this.options;
    try {
      return await untilStuck<Outcome>(stuckAfterMs, (moved) =>
        name === 'distill' ? this.#distill(job, moved) : this.#score(data as ScoreTask, moved),
      );
    } catch (error) {
      if (error instanceof StuckError) {
        this.#stopping = true;
        void this.#queue?.close();
      }
      throw error;
    }
  }

  async #score(task: ScoreTask, moved: () => void): Promise<ScoreOutcome> {
    const { repository, pipeline, storage } = this;
    const began = performance.now();
    const { rows, unreadable } = await runScoreTask(task, { repository, pipeline, storage }, moved);
    this.options.observer?.scored?.(rows, (performance.now() - began) / 1000);
    return {
      images: rows.length,
      anomalous: rows.filter((row) => 'verdict' in row && row.verdict === 'anomalous').length,
      unreadable,
    };
  }

  async #distill(job: Job, moved: () => void): Promise<DistillOutcome> {
    const { experts } = this.options;
    const { provider } = this.engine;
    let toldAt = Number.NEGATIVE_INFINITY;
    const heard = (message: FromProcess): void => {
      moved();
      if (message.kind !== 'progress' || performance.now() - toldAt < tellEveryMs) return;
      toldAt = performance.now();
      // Whoever waits can do without.
      job.updateProgress(message.progress).catch(() => undefined);
    };
    const { repository, source } = this;
    const place = { repository, detectors: source.folder, id: String(job.id), experts, provider };
    return runDistillTask(job.data as DistillTask, place, heard);
  }

  /** Says once that Redis is gone, and that a task was lost meanwhile. */
  #report(error: Error): void {
    const reason = describeError(error);
    if (reason === this.#told || this.#stopping) return;
    if (this.redis.status === 'ready') {
      this.options.log.warn(
        { reason },
        'the task in work is no longer that of this worker; it is done again',
      );
      return;
    }
    this.#told = reason;
    this.options.log.warn({ reason }, 'Redis cannot be reached; no task is taken until it is back');
  }
}

/** BullMQ counts whole tasks. */
function limiterOf(tasksPerSecond: number): { readonly max: number; readonly duration: number } {
  return Number.isInteger(tasksPerSecond)
    ? { max: tasksPerSecond, duration: 1000 }
    : { max: 1, duration: 1000 / tasksPerSecond };
}
