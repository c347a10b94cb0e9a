/** Starts a service as users run it: on the CPU, on a free port, by default with the embedded detector `sample` alone. */
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { modelsFolder } from '../../src/detector/index.js';
import { type RunningService, type ServeOptions, serve } from '../../src/http/index.js';

/** A folder with `sample` alone: the other one's expert takes seconds to start, and only tests of the command line are about it. */
export const onlySample = mkdtempSync(join(tmpdir(), 'mkd-test-'));
symlinkSync(join(modelsFolder, 'sample'), join(onlySample, 'sample'));
process.on('exit', () => rmSync(onlySample, { recursive: true, force: true }));

export function startService(options: Partial<ServeOptions> = {}): Promise<RunningService> {
  return serve({
    detectors: onlySample,
    experts: [],
    host: '127.0.0.1',
    port: 0,
    ...options,
    device: { provider: 'cpu', ...options.device },
  });
}
