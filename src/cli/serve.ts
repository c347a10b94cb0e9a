import { Command, Option } from 'commander';
import { modelsFolder } from '../detector/index.js';
import { serve } from '../service/index.js';
import { deviceOptions, type RuntimeFlags, wholeNumber, withRuntimeOptions } from './options.js';

interface Flags extends RuntimeFlags {
  readonly detectors: string;
  readonly host: string;
  readonly port: number;
}

/** `mkd serve` */
export function serveCommand(): Command {
  return withRuntimeOptions(new Command('serve'))
    .description('Serve detectors over HTTP. SIGTERM or Ctrl-C answers what was accepted, then ends.')
    .addOption(
      new Option('--detectors <dir>', 'folder whose subfolders are detectors')
        .default(modelsFolder)
        .env('MKD_DETECTORS'),
    )
    .addOption(new Option('--host <address>', 'address to listen on').default('0.0.0.0').env('HOST'))
    .addOption(
      new Option('--port <n>', 'port to listen on')
        .argParser(wholeNumber(0, 65535))
        .default(8080)
        .env('PORT'),
    )
    .action(async (flags: Flags) => {
      const service = await serve({
        detectors: flags.detectors,
        experts: flags.experts,
        device: deviceOptions(flags),
        host: flags.host,
        port: flags.port,
        app: { logger: { level: process.env.LOG_LEVEL ?? 'info' } },
      });
      await new Promise<void>((resolve) => {
        for (const signal of ['SIGTERM', 'SIGINT'] as const) {
          process.once(signal, () => {
            service.app.log.info({ signal }, 'stopping');
            resolve();
          });
        }
      });
      await service.stop();
    });
}
