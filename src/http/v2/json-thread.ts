/**
 * Parses and writes large JSON in a thread of its own, so that the event loop is not held: 128 MiB of numbers take
 * seconds. Small messages are not worth the way there.
 */
import { Worker } from 'node:worker_threads';
import { ProblemError } from '../plugins/problems.js';
import { badRequest } from './inputs.js';
import {
  parseRequest,
  type RequestForm,
  responseJson,
  type WireRequest,
  type WrittenResponse,
} from './tensors.js';

export type JsonTask =
  | { readonly id: number; readonly body: Uint8Array; readonly form: RequestForm }
  | { readonly id: number; readonly response: WrittenResponse };

export type JsonReply =
  | { readonly id: number; readonly wire: WireRequest }
  | { readonly id: number; readonly json: Uint8Array }
  | { readonly id: number; readonly problem: string };

/** JSON that is parsed at once: a few milliseconds. */
const inlineBytes = 256 * 2 ** 10;

/** Numbers that are written at once. */
const inlineNumbers = 10_000;

/** Memory of the thread's JavaScript values, in MiB: base64 of 128 MiB is there twice. */
const heapMiB = 1024;

interface Waiting {
  readonly resolve: (reply: JsonReply) => void;
  readonly reject: (error: Error) => void;
}

export class JsonThread {
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #last = 0;

  /** @param body is handed over if it is large. @throws ProblemError if the request is invalid. */
  async parse(body: Uint8Array, form: RequestForm): Promise<WireRequest> {
    if ((form.jsonLength ?? body.length) <= inlineBytes) return parseRequest(body, form);
    const reply = await this.#ask({ id: ++this.#last, body, form }, [body]);
    if ('wire' in reply) return reply.wire;
    throw badRequest('problem' in reply ? reply.problem : 'the request cannot be parsed');
  }

  async write(response: WrittenResponse): Promise<Uint8Array> {
    const numbers = response.outputs.map(({ data }) => (data instanceof Float32Array ? data.length : 0));
    if (numbers.reduce((sum, count) => sum + count, 0) <= inlineNumbers) return responseJson(response);
    const reply = await this.#ask({ id: ++this.#last, response }, []);
    if ('json' in reply) return Buffer.from(reply.json.buffer as ArrayBuffer);
    throw new Error('problem' in reply ? reply.problem : 'the response cannot be written');
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #ask(task: JsonTask, given: readonly Uint8Array[]): Promise<JsonReply> {
    this.#worker ??= this.#start();
    const worker = this.#worker;
    // Only whole buffers can be handed over; others are copied.
    const buffers = given.filter((bytes) => bytes.byteLength === bytes.buffer.byteLength);
    return new Promise((resolve, reject) => {
      this.#waiting.set(task.id, { resolve, reject });
      worker.postMessage(
        task,
        buffers.map(({ buffer }) => buffer as ArrayBuffer),
      );
    });
  }

  #start(): Worker {
    const worker = new Worker(new URL('json-worker.js', import.meta.url), {
      // Without what the program preloads, as in runtime/device.
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: heapMiB },
    });
    worker.unref();
    worker.on('message', (reply: JsonReply) => {
      this.#waiting.get(reply.id)?.resolve(reply);
      this.#waiting.delete(reply.id);
    });
    // It ends by itself only if a JSON does not fit into its memory. The next large JSON starts a new one.
    worker.on('error', () => {
      if (this.#worker === worker) this.#worker = undefined;
      const detail = 'the JSON of the request needs too much memory; send its tensors as binary data';
      for (const { reject } of this.#waiting.values()) reject(new ProblemError('too-many-bytes', detail));
      this.#waiting.clear();
    });
    return worker;
  }
}
