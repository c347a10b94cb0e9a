/** Import of experts. */
export { type ImportExpertOptions, importExpert, inputConventions } from './import-expert.js';
