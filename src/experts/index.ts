/** Bringing another expert. */
export { type ImportExpertOptions, importExpert, inputConventions } from './import-expert.js';
