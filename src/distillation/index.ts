/** Distillation of detectors from good images. */
export { CheckpointError } from './checkpoint.js';
export { distill } from './distill.js';
export { DistillationInterrupted } from './distillation.js';
export { type RecipeName, recipeByName, recipeNames } from './recipe.js';
export {
  type DistillOptions,
  type DistillProgress,
  DistillSettingsError,
  isInputSize,
} from './settings.js';
