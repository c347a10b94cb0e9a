/** Runs graphs: devices, sessions, tensors. */
export {
  Device,
  type DeviceOptions,
  type Runner,
  type RunResult,
  RuntimeError,
  type Session,
  WorkerGoneError,
} from './device.js';
export { DevicePool, type PoolOptions } from './device-pool.js';
export type { Feeds, TensorParts } from './feeds.js';
export type { ModelRecipe } from './messages.js';
export type { Placement, Precision, Provider } from './onnxruntime.js';
export {
  type ReplacementCause,
  replacementCauses,
  SupervisedDevice,
  type SupervisionOptions,
} from './supervised-device.js';
export {
  asConstants,
  bool,
  compact,
  concatenated,
  float32,
  float32Data,
  sessionInputs,
  type Tensor,
  type Tensors,
  uint8,
} from './tensor.js';
