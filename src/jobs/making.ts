/** One run of a job: from its photos to a version that serves. */
import { basename } from 'node:path';
import { describeError } from '../files/explain.js';
import { type DetectorRepository, RepositoryError } from '../repository/index.js';
import type { Provider } from '../runtime/index.js';
import type { JobOutcome, JobRecord } from './job.js';
import type { JobFolder } from './job-folder.js';
import type { FromProcess, JobTask } from './process-messages.js';
import { JobFailed, type RunningProcess, startProcess } from './run-process.js';

interface MakingOptions {
  readonly detectors: string;
  readonly experts: readonly string[];
  readonly provider: Provider;
}

/** How a run ended. After a stop the job waits again. */
type End = Pick<JobRecord, 'state'> & Pick<Partial<JobRecord>, 'error' | 'outcome'>;

/** Progress is told so often at most. */
const tellEveryMs = 100;

/** Warnings that are kept of one run: thousands of files may each have one. */
const mostWarnings = 50;

export class Making {
  #process: RunningProcess | undefined;
  #wanted: 'done' | 'canceled' | 'waiting' = 'done';
  #doubtful: JobOutcome['doubtful'] = [];
  #toldAt = 0;
  #ended: Promise<unknown> = Promise.resolve();

  /** @param onChange called with what changes meanwhile. */
  constructor(
    private readonly record: JobRecord,
    private readonly folder: JobFolder,
    private readonly repository: DetectorRepository,
    private readonly options: MakingOptions,
    private readonly onChange: (change: Partial<JobRecord>) => void,
  ) {}

  get id(): string {
    return this.record.id;
  }

  /** The job will be canceled. */
  cancel(): void {
    this.#wanted = 'canceled';
    this.#process?.stop();
  }

  /** The job will wait for the next start of the service. */
  async stop(): Promise<void> {
    if (this.#wanted === 'done') this.#wanted = 'waiting';
    this.#process?.stop();
    await this.#ended;
  }

  run(): Promise<End> {
    const end = this.#run();
    this.#ended = end;
    return end;
  }

  async #run(): Promise<End> {
    const { detector } = this.record;
    try {
      const task = await this.#task();
      if (this.#wanted !== 'done') return { state: this.#wanted };
      this.#process = startProcess(task, (message) => this.#heard(message));
      await this.#process.ended;
      if (this.#wanted !== 'done') return { state: this.#wanted };
      const { version, manifest } = await this.repository.addMade(detector, this.folder.detector);
      const { calibration, data, distillation } = manifest;
      const { threshold, falseAlarmRate } = calibration;
      const { seconds } = distillation;
      const outcome = {
        version,
        threshold,
        falseAlarmRate,
        images: data.images,
        seconds,
        doubtful: this.#doubtful,
      };
      return { state: 'done', outcome };
    } catch (error) {
      if (this.#wanted !== 'done') return { state: this.#wanted };
      const known = error instanceof JobFailed || error instanceof RepositoryError;
      return { state: 'failed', error: this.#shown(known ? error.message : describeError(error)) };
    }
  }

  async #task(): Promise<JobTask> {
    const { detector, settings, photos } = this.record;
    const { add, remove = [], dropDoubtful = false, falseAlarmRate, fit, groupBy } = settings;
    const current = add ? this.repository.status(detector).current : undefined;
    if (add && !current) throw new RepositoryError('conflict', `no version of '${detector}' serves`);
    const { experts, provider } = this.options;
    await this.folder.clearDetector();
    return {
      photos: photos.some(({ state }) => state === 'used') ? this.folder.photos : undefined,
      out: this.folder.detector,
      addTo: current?.folder,
      remove,
      region: await this.folder.region(),
      groupBy,
      fit,
      dropDoubtful,
      falseAlarmRate,
      experts,
      provider,
    };
  }

  #heard(message: FromProcess): void {
    if (message.kind === 'warning') {
      const { warnings } = this.record;
      if (warnings.length >= mostWarnings) return;
      this.onChange({ warnings: [...warnings, this.#shown(message.message)] });
    }
    if (message.kind === 'doubtful') {
      this.#doubtful = message.photos.map(({ name, score }) => ({ name: basename(name), score }));
    }
    if (message.kind === 'progress' && performance.now() - this.#toldAt >= tellEveryMs) {
      this.#toldAt = performance.now();
      this.onChange({ progress: message.progress });
    }
  }

  /** Names photos as users do, without the folders of the service. */
  #shown(message: string): string {
    return message.replaceAll(`${this.folder.photos}/`, '').replaceAll(this.folder.photos, 'the photos');
  }
}
