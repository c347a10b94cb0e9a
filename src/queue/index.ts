/** Work for more than one machine: a queue of images to score and detectors to make, and what works on it. */
export { type Operations, serveOperations } from './operations.js';
export {
  type Added,
  type Counts,
  defaultAttempts,
  type Ending,
  type FailedTask,
  type QueueAddress,
  TaskQueue,
  withoutPassword,
} from './queue.js';
export { listReferences } from './references.js';
export { type DoneTask, RowFolder } from './row-folder.js';
export type { Row } from './rows.js';
export {
  type DistillTask,
  defaultQueue,
  type RowFormat,
  rowFormats,
  type Task,
  taskId,
} from './tasks.js';
export {
  defaultLostAfterMs,
  defaultStuckAfterMs,
  Worker,
  type WorkerOptions,
  type WorkObserver,
} from './worker.js';
