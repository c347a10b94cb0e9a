/** Calibrating a detector again: new good images or labeled verdicts in, a threshold and flipped verdicts out. */
export {
  type CalibrationSource,
  type Flip,
  type RecalibrateOptions,
  type Recalibration,
  recalibrate,
} from './recalibrate.js';
export { type PastVerdict, parseVerdicts } from './verdicts.js';
