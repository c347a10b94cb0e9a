/**
 * Runs graphs without blocking the event loop: a device is a worker thread that holds sessions on one execution
 * provider and runs them one after another.
 */
import { Worker } from 'node:worker_threads';
import { LRUCache } from 'lru-cache';
import { type Feeds, postable } from './feeds.js';
import type { ModelRecipe, NumberedRequest, Reply, Request, WorkerSettings } from './messages.js';
import type { Precision, Provider } from './onnxruntime.js';
import { compact, type Tensors } from './tensor.js';

/** The provider is unavailable, a graph failed, or the worker is gone. */
export class RuntimeError extends Error {
  override readonly name: string = 'RuntimeError';
}

/** The worker ended or was stopped. Its unfinished requests fail, although they may be valid. */
export class WorkerGoneError extends RuntimeError {
  override readonly name = 'WorkerGoneError';
}

export interface DeviceOptions {
  /** `auto` (default) uses CUDA if it is available, else the CPU. */
  readonly provider?: Provider | 'auto';
  /** In what experts compute; float16 needs CUDA; default float32. */
  readonly precision?: Precision;
  /** Threads for one operator on the CPU; 0 (default) uses one for each core. */
  readonly threads?: number;
  /** Number of the graphics card; default 0. */
  readonly cudaDevice?: number;
  /** Whether threads of an operator spin while they wait for each other, see {@link SessionOptions}; default false. */
  readonly spinning?: boolean;
}

export interface RunResult {
  readonly outputs: Tensors;
  /** Time in the runtime, excluding the wait for earlier requests. */
  readonly seconds: number;
}

/** A graph ready to run. */
export interface Session {
  /**
   * Runs the graph.
   * @param constants further inputs that do not change: the same object is sent to the worker once and stored there
   * while it is in use.
   * @throws RuntimeError if inputs do not match the graph.
   */
  run(feeds: Feeds, constants?: Tensors): Promise<RunResult>;
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
  /** Why `auto` did not choose CUDA, if so. */
  readonly note: string | undefined;
  /** False if no worker is running. */
  readonly alive: boolean;
  /** Maximum number of runs at once. */
  readonly size: number;
  session(model: Uint8Array | ModelRecipe): Promise<Session>;
  /** Replaces a worker; undefined if not supported. */
  replace?(): Promise<void>;
  close(): Promise<void>;
}

export class Device implements Runner {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  /** Resolves when the worker has ended. */
  readonly ended: Promise<void>;
  /** Numbers of the constant inputs stored in the worker. */
  readonly #kept = new LRUCache<Tensors, number>({
    max: maxStoredConstants,
    dispose: (kept) => this.#send({ kind: 'drop', kept }),
  });
  readonly size = 1;
  #serial = 0;
  #lost: WorkerGoneError | undefined;

  private constructor(
    worker: Worker,
    /** The provider in use. */
    readonly provider: Provider,
    /** Why `auto` did not choose CUDA, if so. */
    readonly note: string | undefined,
  ) {
    this.#worker = worker;
    worker.on('message', (reply: Reply) => this.#settle(reply));
    worker.on('error', (error) => this.#fail(`the inference worker failed: ${error.message}`));
    this.ended = new Promise((resolve) => {
      worker.on('exit', () => {
        this.#fail('the inference worker has ended');
        resolve();
      });
    });
    // An idle device does not keep the process alive.
    worker.unref();
  }

  /** Starts the worker. @throws RuntimeError if the provider is unavailable. */
  static async open(options: DeviceOptions = {}): Promise<Device> {
    setNativeDefaults();
    const {
      provider = 'auto',
      precision = 'float32',
      threads = 0,
      cudaDevice = 0,
      spinning = false,
    } = options;
    const settings: WorkerSettings = { provider, precision, threads, cudaDevice, spinning };
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: settings,
      // What a program preloads (--import), such as instrumentation, costs more than all that this thread loads.
      execArgv: [],
    });
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
    return this.#lost === undefined;
  }

  /** Loads a model, given as bytes or as a recipe that the worker executes. */
  async session(model: Uint8Array | ModelRecipe): Promise<Session> {
    const session = ++this.#serial;
    await this.#request({ kind: 'open', session, model });
    return {
      run: (feeds, constants) => {
        const kept = constants && this.#keep(constants);
        return this.#request({ kind: 'run', session, feeds: postable(feeds), ...(kept ? { kept } : {}) });
      },
      close: async () => {
        await this.#request({ kind: 'close', session });
      },
    };
  }

  /** Ends the worker; unfinished requests are rejected. */
  async close(): Promise<void> {
    this.abandon('the device is closed');
    this.#worker.ref();
    await this.ended;
  }

  /**
   * Ends the worker without waiting for it. Terminating a thread while native code runs in it ends the process, so the
   * worker is asked to exit by itself.
   * @param why message for rejected requests.
   */
  abandon(why: string): void {
    this.#send({ kind: 'end' });
    this.#fail(why);
    this.#worker.unref();
  }

  /** Sends tensors to the worker unless it already stores them. @returns their number in the worker, from 1. */
  #keep(constants: Tensors): number {
    const known = this.#kept.get(constants);
    if (known !== undefined) return known;
    const kept = ++this.#serial;
    this.#send({ kind: 'keep', kept, tensors: compact(constants) });
    this.#kept.set(constants, kept);
    return kept;
  }

  /** Sends a request without a reply. */
  #send(request: Request): void {
    const message: NumberedRequest = { id: 0, request };
    if (!this.#lost) this.#worker.postMessage(message);
  }

  #request(request: Request): Promise<RunResult> {
    return new Promise((resolve, reject) => {
      if (this.#lost) {
        reject(this.#lost);
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
    this.#lost ??= new WorkerGoneError(message);
    for (const { reject } of this.#pending.values()) reject(this.#lost);
    this.#pending.clear();
  }
}

/** Maximum number of constant sets stored in a worker; enough for the detectors in use, not for all detectors. */
const maxStoredConstants = 16;

/**
 * Sets environment variables that native code reads when it is loaded. They apply to the whole process, so they are
 * set before its first worker starts, not when this file is imported.
 */
function setNativeDefaults(): void {
  // Without this, onnxruntime from 1.29 sends telemetry to Microsoft, and a long command line overflows its stack.
  process.env.ORT_DISABLE_TELEMETRY = '1';
  // TF32 changes scores by up to 1e-2; a threshold calibrated on the CPU must remain valid. The user may allow TF32.
  process.env.NVIDIA_TF32_OVERRIDE ??= '0';
}
