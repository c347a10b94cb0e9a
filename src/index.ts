/** The public library: open a detector, score, localize, distill, evaluate. */
export { DatasetError, type SampleOptions, type TestSource, writeSample } from './datasets/index.js';
export {
  CalibrationError,
  DetectorError,
  type LocalizationMethod,
  type Manifest,
  readDetector,
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
export {
  encodeNpy,
  ImageError,
  type ImageInput,
  type ImageLimits,
  type LocalizationMap,
  type PixelImage,
  type Region,
} from './imaging/index.js';
export { type Detector, type Localization, type OpenOptions, openDetector } from './library.js';
export { ExpertError } from './networks/index.js';
export {
  type Flip,
  type RecalibrateOptions,
  type Recalibration,
  recalibrate,
} from './recalibration/index.js';
export { RuntimeError } from './runtime/index.js';
export {
  type ImageScore,
  type LayerScore,
  runSelfTest,
  ScoringEngine,
  UnknownMapError,
  type Verdict,
} from './scoring/index.js';
