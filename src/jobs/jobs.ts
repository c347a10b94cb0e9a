/**
 * Jobs that make detectors from uploaded photos: one at a time, in the order in which they were started. They are kept beside
 * the detectors, and go on after a restart of the service.
 */
import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describeError } from '../files/explain.js';
import { LockedError } from '../files/lock.js';
import {
  checkName,
  type DetectorRepository,
  type RepositoryLog,
  withWriteErrors,
} from '../repository/index.js';
import type { Provider } from '../runtime/index.js';
import { adopted, type Entry, entryOf, type JobListener } from './entry.js';
import { type Job, type JobPhoto, type JobRecord, type JobSettings, summaryOf } from './job.js';
import { JobFolder } from './job-folder.js';
import { defaultJobLimits, JobError, type JobLimits, tooOld } from './limits.js';
import { Making } from './making.js';
import { hasEnded } from './states.js';

export interface JobsOptions {
  readonly detectors: string;
  readonly experts: readonly string[];
  readonly provider: Provider;
  readonly limits?: Partial<JobLimits>;
}

/** The folder of all jobs, beside the detectors. */
const jobsFolder = '.jobs';

export class Jobs {
  readonly #entries = new Map<string, Entry>();
  readonly #root: string;
  readonly #limits: JobLimits;
  #making: Making | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;
  /** Jobs that were told of once. */
  readonly #unreadable = new Set<string>();
  #stopLooking = (): void => {};

  private constructor(
    private readonly repository: DetectorRepository,
    private readonly options: JobsOptions,
    private readonly log: RepositoryLog,
  ) {
    this.#root = join(options.detectors, jobsFolder);
    this.#limits = { ...defaultJobLimits, ...options.limits };
  }

  /** Reads the jobs that were left, and goes on with those that had been started. */
  static async open(repository: DetectorRepository, options: JobsOptions, log: RepositoryLog): Promise<Jobs> {
    const jobs = new Jobs(repository, options, log);
    await jobs.#adoptAll();
    // Those of another service on the same disk are left when it ends.
    const looking = setInterval(() => void jobs.#adoptAll(), jobs.#limits.adoptEveryMs).unref();
    jobs.#stopLooking = () => clearInterval(looking);
    return jobs;
  }

  async #adoptAll(): Promise<void> {
    const ids = await readdir(this.#root).catch(() => []);
    for (const id of ids.filter((name) => !this.#entries.has(name) && !this.#unreadable.has(name))) {
      const folder = new JobFolder(join(this.#root, id));
      try {
        if (id.endsWith('.gone')) await folder.remove();
        else {
          const entry = await adopted(folder);
          this.#entries.set(id, entry);
          if (!hasEnded(entry.record)) this.log.info({ job: id }, 'job taken over');
        }
      } catch (error) {
        // Another service has it, or is about to write it.
        if (error instanceof LockedError || (error as NodeJS.ErrnoException).code === 'ENOENT') continue;
        this.#unreadable.add(id);
        this.log.warn({ job: id, reason: describeError(error) }, 'a job cannot be read, and is left alone');
      }
    }
    this.#next();
  }

  /** The newest first. */
  list(): Job[] {
    const all = [...this.#entries.values()].map(({ record }) => summaryOf(record));
    return all.sort((a, b) => b.created.localeCompare(a.created));
  }

  /** @throws JobError `unknown-job` */
  get(id: string): JobRecord {
    return this.#entry(id).record;
  }

  /**
   * Creates a job, which collects photos.
   * @throws RepositoryError if the name is not valid, or photos are added to a detector that is not there; JobError
   */
  async create(detector: string, settings: JobSettings): Promise<JobRecord> {
    checkName(detector);
    if (settings.add) this.repository.status(detector);
    else if (settings.remove) {
      throw new JobError('bad-request', 'remove takes photos back from a detector: pass add=true with it');
    }
    this.repository.checkWritable();
    await this.#clean();
    const record: JobRecord = {
      id: randomUUID(),
      detector,
      state: 'collecting',
      created: new Date().toISOString(),
      settings,
      hasRegion: false,
      warnings: [],
      photos: [],
    };
    const folder = new JobFolder(join(this.#root, record.id));
    const entry = entryOf(record, folder);
    this.#entries.set(record.id, entry);
    try {
      entry.lock = await withWriteErrors(() => folder.create(record));
    } catch (error) {
      this.#entries.delete(record.id);
      throw error;
    }
    return record;
  }

  /** Adds a photo. @throws JobError; RepositoryError if the disk is full. */
  async addPhoto(id: string, name: string | undefined, bytes: Uint8Array): Promise<JobPhoto> {
    const entry = this.#collecting(id);
    const { photos } = entry.record;
    const { maxPhotos, maxBytes } = this.#limits;
    if (photos.length >= maxPhotos) {
      throw new JobError(
        'too-many-parts',
        `a job has at most ${maxPhotos} photos; make the detector from fewer`,
      );
    }
    const held = [...this.#entries.values()].reduce((sum, other) => sum + other.bytes, 0);
    if (held + bytes.length > maxBytes) {
      throw new JobError(
        'too-many-bytes',
        `the photos of all jobs have more than ${maxBytes} bytes together; wait for other jobs, or delete them`,
      );
    }
    const added = entry.adding.then(async () => {
      const photo = await withWriteErrors(() => entry.folder.addPhoto(name, bytes, photos));
      if (photo.state === 'used') entry.bytes += bytes.length;
      photos.push(photo);
      return photo;
    });
    entry.adding = added.catch(() => undefined);
    return added;
  }

  /** Lists a photo that cannot be used. */
  refusePhoto(id: string, name = 'photo', reason: string): void {
    this.#collecting(id).record.photos.push({ name, state: 'unusable', reason });
  }

  /** Keeps what was added since the last time. */
  async save(id: string): Promise<JobRecord> {
    const entry = this.#collecting(id);
    await withWriteErrors(() => entry.folder.write(entry.record));
    this.#tell(entry);
    return entry.record;
  }

  /** Sets the region of interest: a mask, or polygons as JSON. @throws ImageError if it is neither; JobError */
  async setRegion(id: string, bytes: Uint8Array): Promise<void> {
    const entry = this.#collecting(id);
    if (entry.record.settings.add) {
      throw new JobError(
        'bad-request',
        'the region of interest is that of the detector; leave it out with add=true',
      );
    }
    await withWriteErrors(() => entry.folder.addRegion(bytes));
    entry.record.hasRegion = true;
  }

  /** Starts a job, or lets it wait for its turn. @throws JobError `conflict` if it was started, `bad-request` without photos. */
  async start(id: string): Promise<JobRecord> {
    const entry = this.#collecting(id);
    const { settings } = entry.record;
    const { used } = summaryOf(entry.record).photos;
    const { add, remove, dropDoubtful } = settings;
    const changes = add && (remove?.length || dropDoubtful);
    if (used === 0 && !changes) {
      throw new JobError('bad-request', 'the job has no photo that can be used; send photos of good parts');
    }
    await this.#change(entry, { state: 'waiting' });
    this.#next();
    return entry.record;
  }

  /** Cancels a job that has not ended; removes one that has. @throws JobError `unknown-job` */
  async delete(id: string): Promise<void> {
    const entry = this.#entry(id);
    if (this.#making?.id === id && !hasEnded(entry.record)) {
      // It ends as canceled.
      this.#making.cancel();
      return;
    }
    if (entry.record.state === 'waiting') {
      await this.#ended(entry, { state: 'canceled' });
      return;
    }
    this.#entries.delete(id);
    await entry.lock?.release();
    await withWriteErrors(() => entry.folder.remove());
  }

  /** Calls a listener with every change of a job, until the returned function is called. @throws JobError `unknown-job` */
  watch(id: string, listener: JobListener): () => void {
    const { listeners } = this.#entry(id);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** Stops what runs; it goes on when the service starts again. Listeners are told. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopLooking();
    for (const { listeners } of this.#entries.values()) for (const listener of listeners) listener(undefined);
    await this.#making?.stop();
    await this.#running;
    for (const { lock } of this.#entries.values()) await lock?.release();
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry) return entry;
    throw new JobError('unknown-job', `there is no job '${id}'; GET /v1/jobs lists them`);
  }

  #collecting(id: string): Entry {
    const entry = this.#entry(id);
    if (entry.record.state === 'collecting') return entry;
    throw new JobError(
      'conflict',
      `the job is ${entry.record.state}: it takes no more photos, and starts once`,
    );
  }

  /** Runs the job that has waited longest, unless another one runs. */
  #next(): void {
    if (this.#making || this.#stopped) return;
    const waiting = [...this.#entries.values()].filter(({ record }) => record.state === 'waiting');
    const [entry] = waiting.sort((a, b) => a.record.created.localeCompare(b.record.created));
    if (!entry) return;
    this.#making = new Making(entry.record, entry.folder, this.repository, this.options, (change) => {
      Object.assign(entry.record, change);
      this.#tell(entry);
    });
    this.#running = this.#run(entry, this.#making);
  }

  async #run(entry: Entry, making: Making): Promise<void> {
    const { id, detector } = entry.record;
    try {
      await this.#change(entry, { state: 'running', warnings: [] });
      this.log.info({ job: id, detector }, 'job started');
      const end = await making.run();
      if (end.state === 'waiting') await this.#change(entry, end);
      else await this.#ended(entry, end);
      this.log.info({ job: id, detector, ...(end.error ? { reason: end.error } : {}) }, `job ${end.state}`);
    } catch (error) {
      this.log.error({ job: id, reason: (error as Error).message }, 'the state of a job cannot be written');
    }
    this.#making = undefined;
    this.#next();
  }

  async #ended(entry: Entry, end: Partial<JobRecord>): Promise<void> {
    entry.bytes = 0;
    await this.#change(entry, { ...end, ended: new Date().toISOString() });
    await entry.lock?.release();
    await entry.folder.clear();
  }

  async #change(entry: Entry, change: Partial<JobRecord>): Promise<void> {
    Object.assign(entry.record, change);
    await withWriteErrors(() => entry.folder.write(entry.record));
    this.#tell(entry);
  }

  #tell({ record, listeners }: Entry): void {
    if (listeners.size === 0) return;
    const job = summaryOf(record);
    for (const listener of listeners) listener(job);
  }

  /** Removes jobs that nobody started, and the oldest of those that have ended. */
  async #clean(): Promise<void> {
    for (const { id } of tooOld(this.list(), this.#limits)) await this.delete(id);
  }
}
