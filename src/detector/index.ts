/** The detector as an artifact: its manifest, files, versions and graph. */
export { type Calibration, calibration, type GoodImages, withThreshold } from './calibration.js';
export {
  type ClonerSpec,
  type ConvolutionalCloner,
  clonerFeeds,
  hasDiscrepancyMap,
  type LinearCloner,
  linearTensors,
  type ScoreShape,
  type SizedSpan,
  servedCloner,
  spansOf,
  termNames,
  windowGrid,
} from './cloners/index.js';
export {
  CalibrationError,
  conformalThreshold,
  defaultFalseAlarmRate,
  highestThreshold,
  imagesNeeded,
  isLowestPValue,
  promisedRate,
  pValue,
  supportedRate,
  type Verdict,
  verdictOf,
} from './conformal.js';
export { DetectorError } from './detector-error.js';
export {
  detectorFiles,
  kindOfFile,
  manifestFile,
  photosFile,
  photosSuffix,
  replaceFiles,
  signatureOfFiles,
} from './detector-files.js';
export {
  checkTarget,
  type DetectorParts,
  linearClonerOf,
  type ManifestDraft,
  readDetector,
  readLearnedImages,
  readManifest,
  repairDetector,
  replaceCalibration,
  writeDetector,
} from './detector-folder.js';
export { isDetector } from './detectors-in.js';
export { embeddedExperts, expertOf, findExpert, modelsFolder } from './find-expert.js';
export { fingerprintOf, type LearnedImage, type LearnedImages, learnedTensors } from './learned-images.js';
export {
  type LoadedDetector,
  type Scorer,
  type UnverifiedDetector,
  withoutSelfTest,
} from './loaded-detector.js';
export {
  inputSizeSchema,
  type Manifest,
  manifestSchema,
  parseManifest,
  type Terms,
} from './manifest.js';
export type { Meaning } from './meanings.js';
export { NearCopies } from './near-copies.js';
export { scoreRounding } from './rounding.js';
export { assembleScorer, regionTensor } from './scorer.js';
export type { SelfTest } from './self-test.js';
export {
  addGradientMap,
  addImageGradient,
  differentiated,
  discrepancyMapOf,
  type LocalizationMethod,
  localizationMethods,
  type ServingShape,
  servingModel,
} from './serving-model.js';
export {
  type DetectorVersions,
  findDetector,
  hasVersions,
  historyFile,
  readVersions,
  type VersionFolder,
  versionFolders,
} from './versions.js';
