/** Messages between the main thread and an inference worker. */
import type { Feeds } from './feeds.js';
import type { Precision, Provider } from './onnxruntime.js';
import type { Tensors } from './tensor.js';

/**
 * How to build a model in the worker, so that the main thread never holds it: `module` (a URL) exports a function of
 * this name, which receives the argument and a {@link Placement}, and returns the bytes of an ONNX model.
 */
export interface ModelRecipe {
  readonly module: string;
  readonly function: string;
  readonly argument: unknown;
}

export interface WorkerSettings {
  readonly provider: Provider | 'auto';
  readonly precision: Precision;
  readonly threads: number;
  readonly cudaDevice: number;
  readonly spinning: boolean;
}

export type Request =
  | { readonly kind: 'open'; readonly session: number; readonly model: Uint8Array | ModelRecipe }
  | {
      readonly kind: 'run';
      readonly session: number;
      readonly feeds: Feeds;
      /** Number of the stored constant inputs. */
      readonly kept?: number;
    }
  /** Stores constant inputs for later runs. No reply. */
  | { readonly kind: 'keep'; readonly kept: number; readonly tensors: Tensors }
  /** Drops stored inputs. No reply. */
  | { readonly kind: 'drop'; readonly kept: number }
  | { readonly kind: 'close'; readonly session: number }
  /** Ends the worker after its current request; waiting requests are dropped. No reply. */
  | { readonly kind: 'end' };

export type Reply =
  | { readonly kind: 'started'; readonly provider: Provider; readonly note?: string }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'done'; readonly id: number; readonly outputs: Tensors; readonly seconds: number }
  | { readonly kind: 'failed'; readonly id: number; readonly message: string };

export interface NumberedRequest {
  readonly id: number;
  readonly request: Request;
}
