/** Starts a service as users run it: on the CPU, on a free port, by default with the embedded detector. */
import { modelsFolder } from '../../src/detector/index.js';
import { type RunningService, type ServeOptions, serve } from '../../src/http/index.js';

export function startService(options: Partial<ServeOptions> = {}): Promise<RunningService> {
  return serve({
    detectors: modelsFolder,
    experts: [],
    host: '127.0.0.1',
    port: 0,
    ...options,
    device: { provider: 'cpu', ...options.device },
  });
}
