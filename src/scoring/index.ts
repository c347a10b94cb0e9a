/** From an image to its result: the one pipeline, and what runs it. */

export { type Deadline, endOf, noDeadline } from './deadline.js';
export {
  type BatchSizeByProvider,
  type EngineOptions,
  type EngineResult,
  type MapKind,
  ScoringEngine,
} from './engine.js';
export { deadlineError, ScoringError, type ScoringErrorKind } from './errors.js';
export { type ImageSource, mapQuantile, measureGoodImages, quantile } from './good-images.js';
export type { ImageJob, ScoreOptions } from './image-job.js';
export { DirectInference, type Inference } from './inference.js';
export {
  Localization,
  mapThreshold,
  methodFor,
  methodsOf,
  UnknownMapError,
} from './localization.js';
export type { MemoryLimit, Reservation } from './memory-limit.js';
export {
  type ImageOutcome,
  type NamedDetector,
  type ObservedImage,
  observers,
  type ScoringObserver,
  type StageBegan,
  type StageEnded,
} from './observer.js';
export {
  type PipelineOptions,
  ScoringPipeline,
} from './pipeline.js';
export { defaultQueueLimits, InferenceQueue, type QueueLimits } from './queue.js';
export { type RawScores, rowsOf } from './raw-scores.js';
export {
  type ImageScore,
  type LayerScore,
  type ScoredImage,
  type ScoringTimings,
  scoreOf,
} from './scored-image.js';
export { makeSelfTest, runSelfTest, type SelfTestReport, verify } from './self-test.js';
export { smoothGrad } from './smooth-grad.js';
