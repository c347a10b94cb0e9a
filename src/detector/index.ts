/** The detector as an artifact: reading, verifying, scoring, localizing, calibrating. */
export {
  type Calibration,
  calibration,
  type GoodImages,
  measureGoodImages,
} from './calibration.js';
export {
  CalibrationError,
  conformalThreshold,
  imagesNeeded,
  pValue,
  supportedRate,
  usualFalseAlarmRate,
} from './conformal.js';
export { asConstants } from './dedicated-sessions.js';
export {
  checkTarget,
  type DetectorParts,
  detectorFiles,
  type ManifestDraft,
  readDetector,
  readManifest,
  replaceCalibration,
  writeDetector,
} from './detector-folder.js';
export { isDetector } from './detectors-in.js';
export {
  type EngineOptions,
  type EngineResult,
  type RawScores,
  ScoringEngine,
  smoothGrad,
} from './engine.js';
export { embeddedExpert, findExpert, modelsFolder } from './find-expert.js';
export { learnedImagesTensor } from './learned-images.js';
export {
  type LoadedDetector,
  layerScorer,
  type Scorer,
  type SelfTest,
  type UnverifiedDetector,
  withoutSelfTest,
} from './loaded-detector.js';
export { DetectorError, type Manifest, manifestSchema, parseManifest, type Terms } from './manifest.js';
export {
  type ImageScore,
  imageScore,
  type LayerScore,
  mapThreshold,
  methodsOf,
  type Verdict,
  verdictOf,
} from './result.js';
export { scoreRounding } from './rounding.js';
export { type ScoredImage, scoreImages, TileCollector } from './score-images.js';
export { assembleScorer, clonerFeeds, standardizationFeeds } from './scorer.js';
export { makeSelfTest, runSelfTest, type SelfTestReport, verified } from './self-test.js';
export { type LocalizationMethod, localizationMethods, type ServingShape } from './serving-model.js';
export { type ScaledTerms, scaledTerms, type TermShares } from './terms.js';
export {
  type DetectorVersions,
  findDetector,
  hasVersions,
  historyFile,
  readVersions,
  type VersionFolder,
  versionFolders,
} from './versions.js';
