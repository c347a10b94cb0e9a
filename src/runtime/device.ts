/**
 * Running graphs without ever blocking the event loop: a device is a worker thread that holds sessions on one
 * execution provider and runs them one after another.
 */
import { Worker } from 'node:worker_threads';
import { LRUCache } from 'lru-cache';
import type { ModelRecipe, NumberedRequest, Reply, Request, WorkerSettings } from './messages.js';
import type { Provider } from './onnxruntime.js';
import { compact, type Tensors } from './tensor.js';

/** The provider is unavailable, a graph failed, or the worker is gone. */
export class RuntimeError extends Error {
  override readonly name: string = 'RuntimeError';
}

/** The worker has ended, or was ended: its requests are not answered, though nothing is wrong with them. */
export class WorkerGoneError extends RuntimeError {
  override readonly name = 'WorkerGoneError';
}

export interface DeviceOptions {
  /** `auto` (default) uses CUDA if it is available, else the CPU. */
  readonly provider?: Provider | 'auto';
  /** Threads for one operator on the CPU; 0 (default) uses one for each core. */
  readonly threads?: number;
  /** Number of the graphics card; default the first. */
  readonly cudaDevice?: number;
}

export interface RunResult {
  readonly outputs: Tensors;
  /** Time in the runtime, without waiting for earlier requests. */
  readonly seconds: number;
}

/** A graph ready to run. */
export interface Session {
  /**
   * @param constants further inputs that do not change: the same object is sent to the worker once, and kept there while
   * it is used.
   * @throws RuntimeError if inputs do not fit the graph.
   */
  run(feeds: Tensors, constants?: Tensors): Promise<RunResult>;
  /** Frees the memory the session holds. */
  close(): Promise<void>;
}

interface Pending {
  readonly resolve: (result: RunResult) => void;
  readonly reject: (error: Error) => void;
}

/** Where graphs run: one worker, or one that is replaced when it fails. */
export interface Runner {
  /** The provider in use. */
  readonly provider: Provider;
  /** Why it is not the better one, if so. */
  readonly note: string | undefined;
  /** False while there is no worker. */
  readonly alive: boolean;
  /** Runs that can be under way at once. */
  readonly size: number;
  session(model: Uint8Array | ModelRecipe): Promise<Session>;
  /** Replaces a worker by a new one, if there is somebody to do it. */
  replace?(): Promise<void>;
  close(): Promise<void>;
}

export class Device implements Runner {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #ended: Promise<void>;
  /** What the worker keeps, by the number it knows it by. */
  readonly #kept = new LRUCache<Tensors, number>({
    max: mostKept,
    dispose: (kept) => this.#tell({ kind: 'drop', kept }),
  });
  readonly size = 1;
  #serial = 0;
  #gone: WorkerGoneError | undefined;

  private constructor(
    worker: Worker,
    /** The provider in use. */
    readonly provider: Provider,
    /** Why it is not the better one, if so. */
    readonly note: string | undefined,
  ) {
    this.#worker = worker;
    worker.on('message', (reply: Reply) => this.#settle(reply));
    worker.on('error', (error) => this.#fail(`the inference worker failed: ${error.message}`));
    this.#ended = new Promise((resolve) => {
      worker.on('exit', () => {
        this.#fail('the inference worker has ended');
        resolve();
      });
    });
    // An idle device keeps no process alive.
    worker.unref();
  }

  /** @throws RuntimeError if the provider is unavailable. */
  static async open(options: DeviceOptions = {}): Promise<Device> {
    setNativeDefaults();
    const { provider = 'auto', threads = 0, cudaDevice = 0 } = options;
    const settings: WorkerSettings = { provider, threads, cudaDevice };
    const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: settings });
    const first = await new Promise<Reply>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    if (first.kind === 'started') return new Device(worker, first.provider, first.note);
    await worker.terminate();
    throw new RuntimeError(first.kind === 'refused' ? first.message : 'the inference worker did not start');
  }

  /** False once the worker has ended. */
  get alive(): boolean {
    return this.#gone === undefined;
  }

  /** Loads a model, given as bytes or as a recipe that the worker follows. */
  async session(model: Uint8Array | ModelRecipe): Promise<Session> {
    const session = ++this.#serial;
    await this.#ask({ kind: 'open', session, model });
    return {
      run: (feeds, constants) => {
        const kept = constants && this.#keep(constants);
        return this.#ask({ kind: 'run', session, feeds: compact(feeds), ...(kept ? { kept } : {}) });
      },
      close: async () => {
        await this.#ask({ kind: 'close', session });
      },
    };
  }

  /** Ends the worker; what it had not answered is rejected. */
  async close(): Promise<void> {
    this.abandon('the device is closed');
    this.#worker.ref();
    await this.#ended;
  }

  /**
   * The same without waiting for the worker. Terminating a thread while native code runs in it ends the process, so the
   * worker is told to end by itself.
   * @param why for those whose requests are rejected.
   */
  abandon(why: string): void {
    this.#tell({ kind: 'end' });
    this.#fail(why);
    this.#worker.unref();
  }

  /** Makes sure that the worker has these tensors. @returns the number it knows them by, from 1. */
  #keep(constants: Tensors): number {
    const known = this.#kept.get(constants);
    if (known !== undefined) return known;
    const kept = ++this.#serial;
    this.#tell({ kind: 'keep', kept, tensors: compact(constants) });
    this.#kept.set(constants, kept);
    return kept;
  }

  /** Sends what is not answered. */
  #tell(request: Request): void {
    const message: NumberedRequest = { id: 0, request };
    if (!this.#gone) this.#worker.postMessage(message);
  }

  #ask(request: Request): Promise<RunResult> {
    return new Promise((resolve, reject) => {
      if (this.#gone) {
        reject(this.#gone);
        return;
      }
      const id = ++this.#serial;
      this.#worker.ref();
      this.#pending.set(id, { resolve, reject });
      const message: NumberedRequest = { id, request };
      this.#worker.postMessage(message);
    });
  }

  #settle(reply: Reply): void {
    if (reply.kind !== 'done' && reply.kind !== 'failed') return;
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (this.#pending.size === 0) this.#worker.unref();
    if (reply.kind === 'done') pending?.resolve({ outputs: reply.outputs, seconds: reply.seconds });
    else pending?.reject(new RuntimeError(reply.message));
  }

  #fail(message: string): void {
    this.#gone ??= new WorkerGoneError(message);
    for (const { reject } of this.#pending.values()) reject(this.#gone);
    this.#pending.clear();
  }
}

/** Sets of constants that a worker keeps: those of the detectors in use, not of all there are. */
const mostKept = 16;

/**
 * Environment variables that native code reads when it is loaded, so they are set for the process, before its first worker
 * starts. Importing this file sets nothing.
 */
function setNativeDefaults(): void {
  // Without it onnxruntime (from 1.29) reports to Microsoft, and its reading of a long command line overflows the stack.
  process.env.ORT_DISABLE_TELEMETRY = '1';
  // TF32 would move scores by up to 1e-2, and a threshold calibrated on the CPU has to hold. The user may allow it.
  process.env.NVIDIA_TF32_OVERRIDE ??= '0';
}
