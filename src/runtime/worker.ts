/** Worker thread that holds sessions and processes one request after another. */
import { setTimeout } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { encodeModel, Graph } from '../onnx/index.js';
import { whole } from './feeds.js';
import type { ModelRecipe, NumberedRequest, Reply, Request, WorkerSettings } from './messages.js';
import {
  type BlockingSession,
  createSession,
  hasCudaLibraries,
  type Placement,
  type Provider,
} from './onnxruntime.js';
import { ShapeSessions } from './shape-sessions.js';
import { sessionInputs, type Tensors } from './tensor.js';
import { letOthersGoFirst } from './thread-priority.js';

const settings = workerData as WorkerSettings;
const port = parentPort;
if (!port) throw new Error('runtime/worker.js must be started as a worker thread');

const sessions = new Map<number, BlockingSession>();
const kept = new Map<number, Tensors>();

/** Chooses the provider: CUDA if requested and available. Only running a session shows whether it is available. */
async function chooseProvider(): Promise<{ provider: Provider; note?: string }> {
  if (settings.provider === 'cpu') return { provider: 'cpu' };
  try {
    const graph = new Graph('probe');
    graph.output(graph.op.Relu(graph.input('x', 'float32', [1])), 'y');
    const probe = await createSession(encodeModel(graph), { ...settings, provider: 'cuda', threads: 1 });
    await probe.run({ x: { type: 'float32', dims: [1], data: Float32Array.of(1) } });
    await probe.release();
    return { provider: 'cuda' };
  } catch (error) {
    const reason = reasonOf(error);
    if (settings.provider === 'cuda') {
      throw new Error(
        `CUDA is unavailable on graphics card ${settings.cudaDevice}: ${reason}; see docs/operations.md, or use --provider cpu`,
      );
    }
    return { provider: 'cpu', note: `CUDA is unavailable, running on the CPU: ${reason}` };
  }
}

async function answer(placement: Placement, request: Request): Promise<Tensors> {
  switch (request.kind) {
    case 'open': {
      const { model } = request;
      const { provider } = placement;
      const create = async (): Promise<BlockingSession> =>
        createSession(model instanceof Uint8Array ? model : await build(model, placement), {
          ...settings,
          provider,
        });
      sessions.set(request.session, await (provider === 'cuda' ? ShapeSessions.open(create) : create()));
      return {};
    }
    case 'run': {
      const session = sessions.get(request.session);
      if (!session) throw new Error('the session is closed');
      const constants = request.kept === undefined ? {} : kept.get(request.kept);
      if (!constants) throw new Error('the constant inputs are no longer stored in the worker');
      return session.run(whole(request.feeds), constants);
    }
    case 'keep': {
      kept.set(request.kept, sessionInputs(request.tensors));
      return {};
    }
    case 'drop': {
      kept.delete(request.kept);
      return {};
    }
    case 'end':
      return {};
    case 'close': {
      await sessions.get(request.session)?.release();
      sessions.delete(request.session);
      return {};
    }
  }
}

async function build(recipe: ModelRecipe, placement: Placement): Promise<Uint8Array> {
  const exported: unknown = Reflect.get(await import(recipe.module), recipe.function);
  if (typeof exported !== 'function')
    throw new Error(`${recipe.module} does not export a function ${recipe.function}`);
  const model: unknown = await exported(recipe.argument, placement);
  if (!(model instanceof Uint8Array)) throw new Error(`${recipe.function} did not return a model`);
  return model;
}

/** Returns why CUDA is unavailable. onnxruntime's own messages do not say which library is missing. */
function reasonOf(error: unknown): string {
  if (!hasCudaLibraries()) return "onnxruntime's CUDA libraries are not installed";
  const [line = ''] = messageOf(error).split('\n');
  if (line.includes('Failed to load shared library')) {
    return 'a library of CUDA or cuDNN is missing; LD_LIBRARY_PATH must include its folder';
  }
  return /CUDA failure \d+: [^;]*[^; ]/.exec(line)?.[0] ?? line;
}

/** @param note why CUDA is unavailable, if it was looked for. */
function noHalfPrecision(note: string | undefined): string {
  const hint = note ? ` (${note})` : '';
  return `float16 needs CUDA; processors would convert every number twice: use float32${hint}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function reply(message: Reply, outputs: Tensors = {}): void {
  const buffers = new Set(Object.values(outputs).map(({ data }) => data.buffer as ArrayBuffer));
  port?.postMessage(message, [...buffers]);
}

/**
 * Pause before the thread ends. Node.js 20 ends the whole process if the compiler still optimizes code of a thread that
 * ends (`Assertion failed: (data.first) != nullptr`); without new calls it is done in a moment.
 */
const quietMs = 50;

letOthersGoFirst();
try {
  const { provider, note } = await chooseProvider();
  const { precision } = settings;
  if (precision === 'float16' && provider === 'cpu') throw new Error(noHalfPrecision(note));
  let last: Promise<void> = Promise.resolve();
  let ending = false;
  port.on('message', ({ id, request }: NumberedRequest) => {
    ending ||= request.kind === 'end';
    last = last.then(async () => {
      if (ending) {
        await setTimeout(quietMs);
        process.exit();
      }
      try {
        const started = process.hrtime.bigint();
        const outputs = await answer({ provider, precision }, request);
        const seconds = Number(process.hrtime.bigint() - started) / 1e9;
        reply({ kind: 'done', id, outputs, seconds }, outputs);
      } catch (error) {
        reply({ kind: 'failed', id, message: messageOf(error) });
      }
    });
  });
  reply({ kind: 'started', provider, ...(note === undefined ? {} : { note }) });
} catch (error) {
  reply({ kind: 'refused', message: messageOf(error) });
}
