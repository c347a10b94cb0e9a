/** Distillation of detectors from good images. */
export { CheckpointError } from './checkpoint.js';
export {
  DistillationInterrupted,
  type DistillOptions,
  type DistillProgress,
  DistillSettingsError,
  distill,
  isInputSize,
} from './distill.js';
export { type RecipeName, recipeByName, recipeNames } from './recipe.js';
