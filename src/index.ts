/** The public library: open a detector, score, localize, distill, evaluate. */
export type { BatchSizes } from './batching/index.js';
export { DatasetError, type SampleOptions, type TestSource, writeSample } from './datasets/index.js';
export {
  type Calibration,
  CalibrationError,
  type ClonerSpec,
  type ConvolutionalCloner,
  DetectorError,
  type LearnedImages,
  type LinearCloner,
  type LoadedDetector,
  type LocalizationMethod,
  type Manifest,
  type NearCopies,
  readDetector,
  type Scorer,
  type ScoreShape,
  type SelfTest,
  type ServingShape,
  type SizedSpan,
  type UnverifiedDetector,
  type Verdict,
} from './detector/index.js';
export {
  type AddOptions,
  CheckpointError,
  changePhotos,
  DistillationInterrupted,
  type DistillOptions,
  type DistillProgress,
  DistillSettingsError,
  type DoubtfulPhoto,
  distill,
  type RecipeName,
} from './distillation/index.js';
export {
  type BestF1,
  type Comparison,
  type Confusion,
  type Curves,
  compareReports,
  type EvaluateOptions,
  type EvaluationReport,
  evaluate,
  type ImageFigures,
  type Interval,
  type KindFigures,
  type PixelFigures,
  type PixelFiguresOrNull,
  type TermFigures,
} from './evaluation/index.js';
export { type ImportExpertOptions, importExpert, type Origin } from './experts/index.js';
export {
  encodeNpy,
  type Fit,
  ImageError,
  type ImageErrorKind,
  type ImageInput,
  type ImageLimits,
  type InputShape,
  type InputSize,
  type LocalizationMap,
  type OnWarning,
  type PictureSize,
  type PixelImage,
  type Region,
  type RegionOfInterest,
  type Tiling,
  type ValueRange,
} from './imaging/index.js';
export {
  type Detector,
  type Localization,
  type LocalizeOptions,
  type OpenOptions,
  openDetector,
  type ScoreOptions,
} from './library.js';
export { type Block, type CriticalLayer, ExpertError, type Layout, type Span } from './networks/index.js';
export type { ConstantTensor } from './onnx/index.js';
export {
  type CalibrationSource,
  type Flip,
  type RecalibrateOptions,
  type Recalibration,
  recalibrate,
} from './recalibration/index.js';
export {
  type Device,
  type DeviceOptions,
  type ModelRecipe,
  type PoolOptions,
  type Provider,
  type ReplacementCause,
  type Runner,
  type RunResult,
  RuntimeError,
  type Session,
  type SupervisionOptions,
  type Tensor,
  type Tensors,
} from './runtime/index.js';
export {
  type EngineOptions,
  type EngineResult,
  type ImageScore,
  type LayerScore,
  type MapKind,
  type RawScores,
  runSelfTest,
  ScoringEngine,
  type SelfTestReport,
  UnknownMapError,
} from './scoring/index.js';
export type { TensorMap } from './weights/safetensors.js';
