/** Detectors made by the service from uploaded photos, in the background. */
export {
  hasEnded,
  type Job,
  type JobRecord,
  type JobSettings,
  jobListSchema,
  jobPhotoSchema,
  jobRecordSchema,
  jobSchema,
  jobSettingsSchema,
  summaryOf,
} from './job.js';
export { JobError, type JobLimits, Jobs } from './jobs.js';
