/**
 * Everything /v1 says, as TypeBox: types, validators, serializers and openapi.yaml come from here. A schema with a title
 * becomes a named component of openapi.yaml.
 */
export * from './detectors.js';
export * from './requests.js';
export * from './results.js';
export { type Problem, problemSchema } from './words.js';
