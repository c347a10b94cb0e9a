import { Command } from 'commander';
import { findDetector, readDetector } from '../detector/index.js';
import { runSelfTest, ScoringEngine } from '../scoring/index.js';
import { detectorArgument, deviceOptions, type RuntimeFlags, withRuntimeOptions } from './options.js';
import type { Output } from './output.js';

/** `mkd verify` */
export function verifyCommand(output: Output): Command {
  return withRuntimeOptions(new Command('verify'))
    .description('Check a detector: schema, hashes, and that it still gives the scores of its distillation.')
    .addArgument(detectorArgument())
    .action(async (folder: string, flags: RuntimeFlags) => {
      const detector = await readDetector(await findDetector(folder), flags.experts);
      const engine = await ScoringEngine.open(deviceOptions(flags));
      try {
        const report = await runSelfTest(engine, detector);
        output.stdout.write(
          `${folder}: version ${detector.version} passed on ${engine.provider}; ` +
            `${report.images} images scored, largest difference ${report.scoreDifference.toExponential(1)} ` +
            `in scores and ${report.mapDifference.toExponential(1)} in maps\n`,
        );
      } finally {
        await engine.close();
      }
    });
}
