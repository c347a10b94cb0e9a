/** The thread of {@link JsonThread}. */
import { parentPort } from 'node:worker_threads';
import type { JsonReply, JsonTask } from './json-thread.js';
import { parseRequest, responseJson } from './tensors.js';

parentPort?.on('message', (task: JsonTask) => {
  const reply = done(task);
  const buffers = 'json' in reply ? [reply.json] : 'wire' in reply ? [...reply.wire.binary.values()] : [];
  parentPort?.postMessage(reply, [...new Set(buffers.map(({ buffer }) => buffer as ArrayBuffer))]);
});

function done({ id, ...task }: JsonTask): JsonReply {
  try {
    if ('response' in task) return { id, json: Uint8Array.from(responseJson(task.response)) };
    const { message, binary } = parseRequest(task.body, task.jsonLength);
    // Small buffers may be parts of a shared one, which cannot be handed over.
    const own = [...binary].map(([name, bytes]): [string, Uint8Array] => [name, whole(bytes)]);
    return { id, wire: { message, binary: new Map(own) } };
  } catch (error) {
    return { id, problem: (error as Error).message };
  }
}

function whole(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength > bytes.buffer.byteLength / 2 ? bytes : Uint8Array.from(bytes);
}
