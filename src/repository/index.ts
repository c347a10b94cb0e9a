/** Detectors that are added and removed while a service runs. */
export { type DetectorSource, openDetectorSource } from './bucket-mirror.js';
export { RepositoryError, type RepositoryErrorKind, withWriteErrors } from './errors.js';
export { addAsCurrent } from './folders.js';
export type { RepositoryLog } from './loader.js';
export { DetectorRepository, defaultMaxLoaded, type RepositoryOptions } from './repository.js';
export { verifyUnused } from './verify-unused.js';
export { checkName } from './version-writer.js';
export type { DetectorStatus, VersionState, VersionStatus } from './view.js';
export { defaultWatchEveryMs, watchRepository } from './watch.js';
