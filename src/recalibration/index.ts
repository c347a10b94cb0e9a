/** Recalibrates a detector with new good images or labeled verdicts; returns a threshold and flipped verdicts. */
export {
  type CalibrationSource,
  type Flip,
  type RecalibrateOptions,
  type Recalibration,
  recalibrate,
} from './recalibrate.js';
export { type PastVerdict, parseVerdicts } from './verdicts.js';
