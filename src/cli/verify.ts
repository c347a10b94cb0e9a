import { Command } from 'commander';
import { DetectorError, findDetector, readDetector, repairDetector } from '../detector/index.js';
import { runSelfTest, ScoringEngine } from '../scoring/index.js';
import { detectorArgument, deviceOptions, type RuntimeFlags, withRuntimeOptions } from './options.js';
import type { Output } from './output.js';

interface Flags extends RuntimeFlags {
  readonly repair?: string;
}

/** `mkd verify` */
export function verifyCommand(output: Output): Command {
  return withRuntimeOptions(new Command('verify'))
    .description('Check a detector: schema, hashes, and that it still gives the scores of its distillation.')
    .addArgument(detectorArgument())
    .option('--repair <copy>', 'if it is damaged, replace its files with those of this copy of it')
    .action(async (nameOrFolder: string, flags: Flags) => {
      const folder = await findDetector(nameOrFolder);
      const engine = await ScoringEngine.open(deviceOptions(flags));
      const check = async (): Promise<string> => {
        const detector = await readDetector(folder, flags.experts);
        const report = await runSelfTest(engine, detector);
        return (
          `${nameOrFolder}: version ${detector.version} passed on ${engine.provider}; ` +
          `${report.images} images scored, largest difference ${report.scoreDifference.toExponential(1)} ` +
          `in scores and ${report.mapDifference.toExponential(1)} in maps\n`
        );
      };
      try {
        const passed = await check().catch(async (error: unknown) => {
          if (flags.repair === undefined || !(error instanceof DetectorError)) throw error;
          output.stderr.write(`mkd: ${error.message}\n`);
          await repair(folder, flags.repair, flags.experts);
          output.stdout.write(`${nameOrFolder}: repaired with the files of ${flags.repair}\n`);
          return check();
        });
        output.stdout.write(passed);
      } finally {
        await engine.close();
      }
    });
}

/** @throws DetectorError if the copy is damaged itself, or is another version. */
async function repair(folder: string, from: string, experts: readonly string[]): Promise<void> {
  const copy = await findDetector(from);
  await readDetector(copy, experts);
  await repairDetector(folder, copy);
}
