/** Detectors made by the service from uploaded photos, in the background. */
export {
  type Job,
  type JobProgress,
  type JobRecord,
  type JobSettings,
  jobListSchema,
  jobPhotoSchema,
  jobRecordSchema,
  jobSchema,
  jobSettingsSchema,
  summaryOf,
} from './job.js';
export { Jobs } from './jobs.js';
export { JobError, type JobLimits } from './limits.js';
export type { FromProcess } from './process-messages.js';
export { JobFailed, startProcess } from './run-process.js';
export { hasEnded } from './states.js';
