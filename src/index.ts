/** The public library: open a detector, score, localize, distill, evaluate. */
export { DatasetError, type SampleOptions, type TestSource, writeSample } from './datasets/index.js';
export {
  CalibrationError,
  DetectorError,
  type ImageScore,
  type LayerScore,
  type LocalizationMethod,
  type Manifest,
  readDetector,
  runSelfTest,
  ScoringEngine,
  type Verdict,
} from './detector/index.js';
export {
  CheckpointError,
  DistillationInterrupted,
  type DistillOptions,
  type DistillProgress,
  DistillSettingsError,
  distill,
} from './distillation/index.js';
export { type EvaluationReport, evaluate } from './evaluation/index.js';
export { type ImportExpertOptions, importExpert } from './experts/index.js';
export { encodeNpy, ImageError, type ImageLimits, type LocalizationMap } from './imaging/index.js';
export { type Detector, type Localization, type OpenOptions, openDetector } from './library.js';
export { ExpertError } from './networks/index.js';
export {
  type Flip,
  type RecalibrateOptions,
  type Recalibration,
  recalibrate,
} from './recalibration/index.js';
export { RuntimeError } from './runtime/index.js';
