/**
 * A device that outlives its worker. If the worker crashes, or does not answer for too long, it is replaced: sessions are
 * opened again on the new one, and runs that were under way are tried once more. Nothing is tried a third time, because
 * what ends two workers may be the cause.
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
  /** A longer run counts as hanging; default two minutes. */
  readonly hangMs?: number;
  /** Called when a worker is replaced. */
  readonly onReplace?: (cause: ReplacementCause) => void;
}

export type ReplacementCause = 'crash' | 'hang' | 'asked';

/** A session as it is on one worker. */
interface Generation {
  readonly device: Device;
  readonly session: Promise<Session>;
}

export class SupervisedDevice implements Runner {
  readonly size = 1;
  #device: Device;
  #replacing: Promise<Device> | undefined;
  #closed = false;

  private constructor(
    device: Device,
    private readonly options: DeviceOptions,
    private readonly supervision: SupervisionOptions,
  ) {
    this.#device = device;
  }

  /** @throws RuntimeError if the provider is unavailable. */
  static async open(
    options: DeviceOptions = {},
    supervision: SupervisionOptions = {},
  ): Promise<SupervisedDevice> {
    return new SupervisedDevice(await Device.open(options), options, supervision);
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
        // If it could not be opened, the next run tries again.
        session.catch(() => {
          if (current?.session === session) current = undefined;
        });
      }
      return current.session;
    };
    await this.#tried(onDevice);
    return {
      run: (feeds, constants) =>
        this.#tried(async (device) => this.#watched(device, (await onDevice(device)).run(feeds, constants))),
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

  /** Does something on the worker; if the worker is lost meanwhile, once more on the next one. */
  async #tried<Result>(work: (device: Device) => Promise<Result>): Promise<Result> {
    const device = await this.#living();
    try {
      return await work(device);
    } catch (error) {
      if (!(error instanceof WorkerGoneError) || this.#closed) throw error;
      return work(await this.#replace(device, 'crash'));
    }
  }

  async #watched(device: Device, run: Promise<RunResult>): Promise<RunResult> {
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

  async #living(): Promise<Device> {
    if (this.#replacing) return this.#replacing;
    return this.#device.alive || this.#closed ? this.#device : this.#replace(this.#device, 'crash');
  }

  /** @param old the worker that failed; one that was already replaced stays replaced. */
  #replace(old: Device, cause: ReplacementCause): Promise<Device> {
    if (this.#replacing) return this.#replacing;
    if (old !== this.#device) return Promise.resolve(this.#device);
    this.supervision.onReplace?.(cause);
    const replacing = (async () => {
      old.abandon(`the inference worker was replaced (${cause})`);
      // The provider that was promised at the start, or none: a CPU in the place of CUDA would go unnoticed.
      this.#device = await Device.open({ ...this.options, provider: old.provider });
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
