/** Detectors that come and go while a service runs. */
export { RepositoryError, type RepositoryErrorKind } from './errors.js';
export {
  DetectorRepository,
  type DetectorStatus,
  defaultMaxLoaded,
  type RepositoryLog,
  type RepositoryOptions,
  type VersionState,
  type VersionStatus,
} from './repository.js';
export { watchRepository } from './watch.js';
