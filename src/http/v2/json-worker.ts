/** The thread of {@link JsonThread}. */
import { parentPort } from 'node:worker_threads';
import type { JsonReply, JsonTask } from './json-thread.js';
import { parseRequest, responseJson } from './tensors.js';

parentPort?.on('message', (task: JsonTask) => {
  const reply = done(task);
  const bytes = 'json' in reply ? reply.json : 'wire' in reply ? reply.wire.elements : undefined;
  parentPort?.postMessage(reply, bytes ? [bytes.buffer as ArrayBuffer] : []);
});

function done({ id, ...task }: JsonTask): JsonReply {
  try {
    if ('response' in task) return { id, json: Uint8Array.from(responseJson(task.response)) };
    const wire = parseRequest(task.body, task.form);
    // A small buffer may be part of a shared one, which cannot be handed over.
    return { id, wire: { ...wire, elements: wire.elements && whole(wire.elements) } };
  } catch (error) {
    return { id, problem: (error as Error).message };
  }
}

function whole(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength > bytes.buffer.byteLength / 2 ? bytes : Uint8Array.from(bytes);
}
