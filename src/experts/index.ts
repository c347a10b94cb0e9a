/** Import of experts. */
export { type ImportExpertOptions, importExpert, inputConventions } from './import-expert.js';
export type { Origin } from './read-vgg16.js';
