/** Work for more than one machine: a queue of images to score and detectors to make, and what works on it. */
export { type Operations, serveOperations } from './operations.js';
export { type Counts, defaultAttempts, type QueueAddress, TaskQueue, withoutPassword } from './queue.js';
export type { Row } from './rows.js';
export {
  type DistillTask,
  defaultQueue,
  type RowFormat,
  rowFormats,
  scoreTasks,
  type Task,
  taskId,
} from './tasks.js';
export { defaultLostAfterMs, Worker, type WorkerOptions, type WorkObserver } from './worker.js';
