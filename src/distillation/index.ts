/** Distillation of detectors from good images. */
export { CheckpointError } from './checkpoint.js';
export { DistillationInterrupted, distill } from './distill.js';
export { photosToHoldBack } from './images/curriculum.js';
export { type RecipeName, recipeNames, type TrainedRecipeName } from './recipe.js';
export {
  type DistillOptions,
  type DistillProgress,
  DistillSettingsError,
  isInputSize,
  isTileScale,
} from './settings.js';
