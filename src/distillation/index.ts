/** Distillation of detectors from good images. */
export { CheckpointError } from './checkpoint.js';
export { distill } from './distill.js';
export { photosToHoldBack } from './images/curriculum.js';
export { type AddOptions, changePhotos } from './linear/distill-linear.js';
export { type Photo, readKeptPhotos } from './linear/photos.js';
export { DistillationInterrupted } from './on-device.js';
export { type RecipeName, recipeNames } from './recipe.js';
export {
  type DistillOptions,
  type DistillProgress,
  DistillSettingsError,
  type DoubtfulPhoto,
  isInputSize,
  isTileScale,
} from './settings.js';
