/** The only module that imports onnxruntime-node. Its `run` blocks the thread, so only a worker may import this. */
import { statSync } from 'node:fs';
import ort from 'onnxruntime-node';
import type { Tensor, Tensors } from './tensor.js';

// Failures reach the caller as errors; the library's log would repeat them on stderr.
ort.env.logLevel = 'fatal';

/** Where a graph runs. */
export type Provider = 'cpu' | 'cuda';

/** In what the expert computes: float16 is for graphics cards. */
export type Precision = 'float32' | 'float16';

/** What a model is built for. */
export interface Placement {
  readonly provider: Provider;
  readonly precision: Precision;
}

export interface SessionOptions {
  readonly provider: Provider;
  /** Threads for one operator; 0 uses one for each core. */
  readonly threads: number;
  /** Number of the graphics card. */
  readonly cudaDevice: number;
  /**
   * Whether the threads of an operator wait for each other by spinning. It is a tenth faster on idle cores, and a third
   * slower where others need them: an operator that waits for a thread without a core uses its own up.
   */
  readonly spinning: boolean;
}

export interface BlockingSession {
  /** @param constants further inputs, which change less often. */
  run(feeds: Tensors, constants?: Tensors): Promise<Tensors>;
  release(): Promise<void>;
}

/** Opens a session. @throws Error if the model is invalid or the provider is unavailable. */
export async function createSession(model: Uint8Array, options: SessionOptions): Promise<BlockingSession> {
  const session = await ort.InferenceSession.create(model, {
    executionProviders:
      options.provider === 'cuda' ? [{ name: 'cuda', deviceId: options.cudaDevice }, 'cpu'] : ['cpu'],
    intraOpNumThreads: options.threads,
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
    // Threads never spin between runs: image decoding and other processes need the cores.
    extra: {
      session: options.spinning ? { force_spinning_stop: '1' } : { intra_op: { allow_spinning: '0' } },
    },
  });
  return {
    run: async (feeds, constants = {}) => fromOrt(await session.run(toOrt({ ...constants, ...feeds }))),
    release: () => session.release(),
  };
}

/** Returns whether onnxruntime's CUDA libraries are installed; a plain npm install leaves them out. */
export function hasCudaLibraries(): boolean {
  const library = `../bin/napi-v6/${process.platform}/${process.arch}/libonnxruntime_providers_cuda.so`;
  const found = statSync(new URL(library, import.meta.resolve('onnxruntime-node')), {
    throwIfNoEntry: false,
  });
  // An installation without NuGet leaves an empty file, see cli/preinstall.ts.
  return (found?.size ?? 0) > 0;
}

function toOrt(tensors: Tensors): Record<string, ort.Tensor> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { type, data, dims }]) => [name, new ort.Tensor(type, data, dims)]),
  );
}

function fromOrt(outputs: ort.InferenceSession.OnnxValueMapType): Tensors {
  const tensors: Record<string, Tensor> = {};
  for (const [name, { type, data, dims }] of Object.entries(outputs)) {
    if (type === 'float32' && data instanceof Float32Array) tensors[name] = { type, dims, data };
    else if (type === 'uint8' && data instanceof Uint8Array) tensors[name] = { type, dims, data };
    else if (type === 'int64' && data instanceof BigInt64Array) tensors[name] = { type, dims, data };
    else throw new Error(`output '${name}' is ${type}; supported are float32, uint8 and int64`);
  }
  return tensors;
}
