/** The one place that knows onnxruntime-node. Its `run` blocks the thread, so only a worker imports this. */
import { existsSync } from 'node:fs';
import ort from 'onnxruntime-node';
import type { Tensor, Tensors } from './tensor.js';

// Failures reach the caller as errors; the library's own log on stderr says them a second time.
ort.env.logLevel = 'fatal';

/** Where a graph runs. */
export type Provider = 'cpu' | 'cuda';

export interface SessionOptions {
  readonly provider: Provider;
  /** Threads for one operator; 0 takes a thread for each core. */
  readonly threads: number;
  /** Graphics card by number. */
  readonly cudaDevice: number;
}

export interface BlockingSession {
  /** @param constants further inputs, which differ from run to run less often. */
  run(feeds: Tensors, constants?: Tensors): Promise<Tensors>;
  release(): Promise<void>;
}

/** @throws Error when the model is no valid model, or the provider is not to be had on this machine. */
export async function createSession(model: Uint8Array, options: SessionOptions): Promise<BlockingSession> {
  const session = await ort.InferenceSession.create(model, {
    executionProviders:
      options.provider === 'cuda' ? [{ name: 'cuda', deviceId: options.cudaDevice }, 'cpu'] : ['cpu'],
    intraOpNumThreads: options.threads,
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
    // Between runs no thread may spin: the service, image decoding and other processes need the core.
    extra: { session: { force_spinning_stop: '1' } },
  });
  return {
    run: async (feeds, constants = {}) => fromOrt(await session.run(toOrt({ ...constants, ...feeds }))),
    release: () => session.release(),
  };
}

/** Whether onnxruntime's own libraries for CUDA lie beside it, which a plain install leaves out. */
export function hasCudaLibraries(): boolean {
  const library = `../bin/napi-v6/${process.platform}/${process.arch}/libonnxruntime_providers_cuda.so`;
  return existsSync(new URL(library, import.meta.resolve('onnxruntime-node')));
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
    else
      throw new Error(`output '${name}' is a ${type}; float32, uint8 and int64 can be taken out of a graph`);
  }
  return tensors;
}
