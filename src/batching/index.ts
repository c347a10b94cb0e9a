/** Gathering single items into batches. */
export {
  type Batched,
  Batcher,
  type BatcherOptions,
  batchSize,
  DroppedError,
  type LaneLimits,
  QueueFullError,
  type SubmitOptions,
} from './batcher.js';
export { type Clock, systemClock } from './clock.js';
