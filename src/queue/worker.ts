/** Does what a queue holds: scores batches and makes detectors, until it is closed. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type Job, Worker as QueueWorker, UnrecoverableError } from 'bullmq';
import type { Redis } from 'ioredis';
import { filesAtOnce, workAhead } from '../files/ahead.js';
import { describeError } from '../files/explain.js';
import { MissingFileError, Storage } from '../files/storage.js';
import { ImageError } from '../imaging/index.js';
import { type FromProcess, JobFailed, startProcess } from '../jobs/index.js';
import {
  DetectorRepository,
  type DetectorSource,
  defaultWatchEveryMs,
  openDetectorSource,
  RepositoryError,
  type RepositoryLog,
  watchRepository,
} from '../repository/index.js';
import {
  DirectInference,
  type EngineOptions,
  ScoringEngine,
  ScoringPipeline,
  scoreOf,
} from '../scoring/index.js';
import { connect, type QueueAddress } from './queue.js';
import { encodeRows, type Row } from './rows.js';
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
      ...(tasksPerSecond === undefined ? {} : { limiter: { max: tasksPerSecond, duration: 1000 } }),
    });
    worker.on('error', (error) => this.#report(error));
    worker.on('failed', (job, error) => this.#failed(job, error));
    this.#queue = worker;
    // A connection that is lost before this is not made again.
    await worker.waitUntilReady();
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
    const { name, data, id } = job;
    const { log, observer, stuckAfterMs = defaultStuckAfterMs } = this.options;
    const began = performance.now();
    try {
      const outcome = await untilStuck<Outcome>(stuckAfterMs, (moved) =>
        name === 'distill' ? this.#distill(job, moved) : this.#score(data as ScoreTask, moved),
      );
      const seconds = Number(((performance.now() - began) / 1000).toFixed(2));
      observer?.ended?.(name as Task['kind'], 'done');
      log.info({ task: id, ...outcome, seconds }, 'task done');
      return outcome;
    } catch (error) {
      if (error instanceof StuckError) {
        this.#stopping = true;
        void this.#queue?.close();
      }
      throw error;
    }
  }

  async #score(task: ScoreTask, moved: () => void): Promise<ScoreOutcome> {
    const began = performance.now();
    const detector = await this.repository.acquire(task.detector, task.version);
    const { version } = detector;
    const rows: Row[] = [];
    const score = async (image: string): Promise<Row> => {
      const common = { image, detector: task.detector, version };
      try {
        const bytes = await this.storage.read(image);
        return { ...common, ...scoreOf(await this.pipeline.score({ detector, image: bytes })) };
      } catch (error) {
        // What is wrong with a file is wrong tomorrow; what is wrong with a disk or a network may pass.
        if (!(error instanceof ImageError || error instanceof MissingFileError)) throw error;
        return { ...common, error: describeError(error) };
      }
    };
    for await (const row of workAhead(task.images, filesAtOnce, score)) {
      rows.push(row);
      moved();
    }
    await this.storage.write(task.out, encodeRows(rows, task.format));
    this.options.observer?.scored?.(rows, (performance.now() - began) / 1000);
    return {
      images: rows.length,
      anomalous: rows.filter((row) => 'verdict' in row && row.verdict === 'anomalous').length,
      unreadable: rows.filter((row) => 'error' in row).length,
    };
  }

  /** Makes a detector in a process of its own, and lets it serve. */
  async #distill(job: Job, moved: () => void): Promise<DistillOutcome> {
    const task = job.data as DistillTask;
    const { detector, dataset, groupBy, fit, dropDoubtful = false, falseAlarmRate } = task;
    const { experts } = this.options;
    const out = join(this.source.folder, `.making-${job.id}`);
    await rm(out, { recursive: true, force: true });
    const provider = this.engine.provider;
    const settings = { groupBy, fit, dropDoubtful, falseAlarmRate, experts, provider };
    let toldAt = Number.NEGATIVE_INFINITY;
    const heard = (message: FromProcess): void => {
      moved();
      if (message.kind !== 'progress' || performance.now() - toldAt < tellEveryMs) return;
      toldAt = performance.now();
      // Whoever waits can do without.
      job.updateProgress(message.progress).catch(() => undefined);
    };
    const nothing = { addTo: undefined, remove: [], region: undefined };
    try {
      this.repository.checkWritable();
      await startProcess({ photos: dataset, out, ...nothing, ...settings }, heard).ended;
      const { version } = await this.repository.addMade(detector, out);
      return { detector, version };
    } catch (error) {
      throw mayPass(error) ? error : new UnrecoverableError(describeError(error));
    } finally {
      await rm(out, { recursive: true, force: true });
    }
  }

  /** Says once that Redis is gone. */
  #report(error: Error): void {
    const reason = describeError(error);
    if (reason === this.#told || this.#stopping) return;
    this.#told = reason;
    this.options.log.warn({ reason }, 'Redis cannot be reached; no task is taken until it is back');
  }
}

/** Whether a detector that could not be made may be made tomorrow, from the same photos. */
function mayPass(error: unknown): boolean {
  if (error instanceof JobFailed) return error.mayPass;
  return !(error instanceof RepositoryError) || error.kind === 'disk-full';
}
