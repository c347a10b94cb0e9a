/** The expert and the cloners, as graphs. */
export * from './cloner.js';
export * from './expert.js';
export * from './expert-card.js';
export * from './image-input.js';
export * from './layout.js';
export * from './linear-cloner.js';
export * as tensorNames from './tensor-names.js';
export { patchSideOf } from './tokens.js';
export { fasterConvolutions } from './winograd.js';
