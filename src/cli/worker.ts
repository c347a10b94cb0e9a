import { setTimeout as wait } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { pino } from 'pino';
import { modelsFolder } from '../detector/index.js';
import {
  defaultLostAfterMs,
  defaultStuckAfterMs,
  serveOperations,
  Worker,
  withoutPassword,
} from '../queue/index.js';
import { loggerFor } from './log.js';
import {
  checkExperts,
  deviceOptions,
  number,
  type RuntimeFlags,
  wholeNumber,
  withRuntimeOptions,
} from './options.js';
import type { Output } from './output.js';
import { type QueueFlags, withQueueOptions } from './queue-options.js';
import { stopSignals } from './stop-signals.js';

interface Flags extends RuntimeFlags, QueueFlags {
  readonly detectors: string;
  readonly rate?: number;
  readonly drainMs: number;
  readonly lostAfterMs: number;
  readonly stuckAfterMs: number;
  readonly operationsPort?: number;
  readonly logLevel: string;
}

/** `mkd worker` */
export function workerCommand(output: Output): Command {
  return withQueueOptions(withRuntimeOptions(new Command('worker')))
    .description(
      'Do what mkd enqueue has queued. SIGTERM or Ctrl-C finishes the task in work, then exits; a second one exits at once, and another worker does the task.',
    )
    .addOption(
      new Option('--detectors <dir>', 'folder whose subfolders are detectors, or s3://bucket/prefix')
        .default(modelsFolder)
        .env('MKD_DETECTORS'),
    )
    .option(
      '--rate <n>',
      'tasks that all workers together begin in a second; by default as many as they can',
      number(0),
    )
    .option(
      '--drain-ms <ms>',
      'how long the task in work may take after the stop signal',
      wholeNumber(0),
      60_000,
    )
    .option(
      '--lost-after-ms <ms>',
      'how long others wait for a worker that says nothing, before they do its task',
      wholeNumber(1000),
      defaultLostAfterMs,
    )
    .option(
      '--stuck-after-ms <ms>',
      'a task that makes no progress for so long fails, and the worker ends: what hangs cannot be interrupted',
      wholeNumber(1000),
      defaultStuckAfterMs,
    )
    .addOption(
      new Option('--operations-port <n>', 'port for /metrics and /health')
        .argParser(wholeNumber(0))
        .env('MKD_OPERATIONS_PORT'),
    )
    .addOption(new Option('--log-level <level>', 'log level').default('info').env('LOG_LEVEL'))
    .action(async (flags: Flags) => {
      await checkExperts(flags);
      const signals = stopSignals();
      try {
        await workUntilStopped(flags, signals, output);
      } finally {
        signals.close();
      }
    });
}

async function workUntilStopped(
  flags: Flags,
  signals: ReturnType<typeof stopSignals>,
  output: Output,
): Promise<void> {
  const { level, stream } = await loggerFor(output, flags.logLevel);
  const log = pino({ level }, stream ?? process.stdout);
  const operations = await serveOperations(flags.operationsPort, () => worker?.ready ?? false);
  let worker: Worker | undefined;
  const first = signals.next();
  void first
    .then((signal) => {
      log.info({ signal }, 'stopping');
      return signals.next();
    })
    .then((signal) => {
      log.warn({ signal }, 'exiting at once; another worker does what this one may have in work');
      killItself();
    });
  try {
    worker = await Worker.open({
      redis: flags.redis,
      queue: flags.queue,
      detectors: flags.detectors,
      experts: flags.experts,
      device: deviceOptions(flags),
      ...(flags.rate === undefined ? {} : { tasksPerSecond: flags.rate }),
      lostAfterMs: flags.lostAfterMs,
      stuckAfterMs: flags.stuckAfterMs,
      log,
      observer: operations.observer,
    });
    log.info({ queue: flags.queue, redis: withoutPassword(flags.redis), provider: worker.provider }, 'ready');
    const signal = await Promise.race([first, worker.stuck]);
    if (signal === undefined) {
      log.error({}, 'ending, because a task hangs');
      killItself();
      return;
    }
    const finished = worker.close().then(() => true);
    if (await Promise.race([finished, wait(flags.drainMs, false, { ref: false })])) {
      log.info('stopped');
      // What still tries to reach Redis is not waited for.
      process.exit(0);
    }
    log.warn({}, 'exiting with a task in work; another worker does it');
    killItself();
  } finally {
    await operations.close();
  }
}

/** Exits also while a session runs or a file does not answer: neither can be interrupted, and an ordinary exit waits for them. */
function killItself(): void {
  process.kill(process.pid, 'SIGKILL');
}
