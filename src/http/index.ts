/** The inference service. */
export { type App, type AppOptions, buildApp } from './app.js';
export { defaultDedicatedSessions, defaultMaxBatchSize } from './catalog.js';
export {
  type ApiKey,
  hashKey,
  KeyFileError,
  KeyRing,
  makeKey,
  readKeyFile,
  type Scope,
  scopes,
  writeKeyFile,
} from './plugins/keys.js';
export { defaultAdmissionLimits } from './plugins/limits.js';
export { defaultResultStoreLimits } from './result-store.js';
export { type RunningService, type ServeOptions, serve } from './server.js';
export { defaultTimeoutMs } from './service.js';
