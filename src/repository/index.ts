/** Detectors that come and go while a service runs. */
export { RepositoryError, type RepositoryErrorKind } from './errors.js';
export { adoptVersion } from './folders.js';
export type { RepositoryLog } from './loader.js';
export {
  DetectorRepository,
  type DetectorStatus,
  defaultMaxLoaded,
  type RepositoryOptions,
  type VersionState,
  type VersionStatus,
} from './repository.js';
export { verifyUnused } from './verify-unused.js';
export { watchRepository } from './watch.js';
