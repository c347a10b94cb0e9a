/** Dynamic batching. */
export { BatchSizes } from './batch-sizes.js';
export {
  type Batched,
  Batcher,
  type BatcherOptions,
  DroppedError,
  type LaneLimits,
  QueueFullError,
  type SubmitOptions,
} from './batcher.js';
export { type Clock, systemClock } from './clock.js';
