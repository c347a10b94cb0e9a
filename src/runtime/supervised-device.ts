/**
 * A device that replaces its worker if the worker crashes or hangs. Sessions are opened again on the new worker, and
 * unfinished runs are retried once. There is no second retry: a run that ends two workers is probably the cause.
 */
import {
  Device,
  type DeviceOptions,
  type Runner,
  type RunResult,
  type Session,
  WorkerGoneError,
} from './device.js';
import type { ModelRecipe } from './messages.js';
import type { Provider } from './onnxruntime.js';

export interface SupervisionOptions {
  /** A run longer than this is treated as hanging; default two minutes. */
  readonly hangMs?: number;
  /** Called when a worker is replaced. */
  readonly onReplace?: (cause: ReplacementCause) => void;
  /** Starts a worker; default {@link Device.open}. */
  readonly open?: (options: DeviceOptions) => Promise<Device>;
}

export const replacementCauses = ['crash', 'hang', 'asked'] as const;

export type ReplacementCause = (typeof replacementCauses)[number];

/** A session on one worker. */
interface Generation {
  readonly device: Device;
  readonly session: Promise<Session>;
}

/** How long a lost worker is not replaced unless a run needs one. */
const restartMs = 2000;

export class SupervisedDevice implements Runner {
  readonly size = 1;
  #device: Device;
  #replacing: Promise<Device> | undefined;
  #closed = false;

  private constructor(
    device: Device,
    private readonly options: DeviceOptions,
    private readonly supervision: SupervisionOptions & Required<Pick<SupervisionOptions, 'open'>>,
  ) {
    this.#device = device;
    this.#restartWhenLost(device);
  }

  /** Starts the worker. @throws RuntimeError if the provider is unavailable. */
  static async open(
    options: DeviceOptions = {},
    supervision: SupervisionOptions = {},
  ): Promise<SupervisedDevice> {
    const { open = Device.open } = supervision;
    return new SupervisedDevice(await open(options), options, { ...supervision, open });
  }

  get provider(): Provider {
    return this.#device.provider;
  }

  get note(): string | undefined {
    return this.#device.note;
  }

  get alive(): boolean {
    return this.#device.alive && this.#replacing === undefined;
  }

  async session(model: Uint8Array | ModelRecipe): Promise<Session> {
    let current: Generation | undefined;
    const onDevice = async (device: Device): Promise<Session> => {
      if (current?.device !== device) {
        const session = device.session(model);
        current = { device, session };
        // If opening fails, the next run tries again.
        session.catch(() => {
          if (current?.session === session) current = undefined;
        });
      }
      return current.session;
    };
    await this.#withRetry(onDevice);
    return {
      run: (feeds, constants) =>
        this.#withRetry(async (device) =>
          this.#withHangTimeout(device, (await onDevice(device)).run(feeds, constants)),
        ),
      close: async () => {
        const { device, session } = current ?? {};
        if (device?.alive) await (await session)?.close();
      },
    };
  }

  /** Replaces the worker. */
  async replace(): Promise<void> {
    await this.#replace(this.#device, 'asked');
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#replacing?.catch(() => undefined);
    await this.#device.close();
  }

  /** Runs work on the worker; if the worker is lost, retries once on the next one. */
  async #withRetry<Result>(work: (device: Device) => Promise<Result>): Promise<Result> {
    const device = await this.#currentDevice();
    try {
      return await work(device);
    } catch (error) {
      if (!(error instanceof WorkerGoneError) || this.#closed) throw error;
      return work(await this.#replace(device, 'crash'));
    }
  }

  async #withHangTimeout(device: Device, run: Promise<RunResult>): Promise<RunResult> {
    const { hangMs = 120_000 } = this.supervision;
    const timer = setTimeout(() => {
      void this.#replace(device, 'hang').catch(() => undefined);
    }, hangMs);
    timer.unref();
    try {
      return await run;
    } finally {
      clearTimeout(timer);
    }
  }

  async #currentDevice(): Promise<Device> {
    if (this.#replacing) return this.#replacing;
    return this.#device.alive || this.#closed ? this.#device : this.#replace(this.#device, 'crash');
  }

  /**
   * Starts another worker a while after one was lost, if no run has done so: a service without a worker is not ready, and
   * gets no runs.
   */
  #restartWhenLost(device: Device): void {
    const restart = (): void => {
      if (this.#closed || this.#device !== device || device.alive) return;
      this.#replace(device, 'crash').catch(later);
    };
    const later = (): void => {
      setTimeout(restart, restartMs).unref();
    };
    void device.ended.then(later);
  }

  /** Replaces a worker. @param old the worker that failed; does nothing if it was already replaced. */
  #replace(old: Device, cause: ReplacementCause): Promise<Device> {
    if (this.#replacing) return this.#replacing;
    if (old !== this.#device) return Promise.resolve(this.#device);
    this.supervision.onReplace?.(cause);
    const replacing = (async () => {
      old.abandon(`the inference worker was replaced (${cause})`);
      // The same provider or an error: a silent switch from CUDA to the CPU would go unnoticed.
      this.#device = await this.supervision.open({ ...this.options, provider: old.provider });
      this.#restartWhenLost(this.#device);
      return this.#device;
    })();
    this.#replacing = replacing;
    const done = (): void => {
      this.#replacing = undefined;
    };
    replacing.then(done, done);
    return replacing;
  }
}
