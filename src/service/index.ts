/** The inference service. */
export { defaultAdmissionLimits } from './admission.js';
export { type App, type AppOptions, buildApp } from './app.js';
export { defaultDedicatedSessions, defaultWatchEveryMs } from './catalog.js';
export { defaultLaneLimits, defaultTimeoutMs } from './inference.js';
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
} from './keys.js';
export { defaultResultStoreLimits } from './result-store.js';
export { type RunningService, type ServeOptions, serve } from './server.js';
