/** The inference service. */
export { type App, type AppOptions, buildApp } from './app.js';
export { defaultLaneLimits, defaultTimeoutMs } from './inference.js';
export { type RunningService, type ServeOptions, serve } from './server.js';
