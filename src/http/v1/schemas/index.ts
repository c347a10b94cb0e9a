/**
 * TypeBox schemas of /v1: the source of types, validators, serializers and openapi.yaml. A schema with a title becomes
 * a named component of openapi.yaml.
 */
export * from './detectors.js';
export * from './jobs.js';
export * from './requests.js';
export * from './results.js';
export { type Problem, problemSchema } from './words.js';
