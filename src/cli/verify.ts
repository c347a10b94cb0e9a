import { Command } from 'commander';
import { DetectorError, findDetector, readDetector, repairDetector } from '../detector/index.js';
import { runSelfTest, ScoringEngine } from '../scoring/index.js';
import {
  detectorArgument,
  deviceOptions,
  type JsonFlag,
  jsonOption,
  type RuntimeFlags,
  withRuntimeOptions,
} from './options.js';
import { type Output, printResult } from './output.js';

interface Flags extends RuntimeFlags, JsonFlag {
  readonly repair?: string;
}

/** `mkd verify` */
export function verifyCommand(output: Output): Command {
  return withRuntimeOptions(new Command('verify'))
    .description('Check a detector: schema, hashes, and that it still gives the scores of its distillation.')
    .addArgument(detectorArgument())
    .option('--repair <copy>', 'if it is damaged, replace its files with those of this copy of it')
    .addOption(jsonOption())
    .action(async (nameOrFolder: string, flags: Flags) => {
      const folder = await findDetector(nameOrFolder);
      const engine = await ScoringEngine.open(deviceOptions(flags));
      const check = async () => {
        const detector = await readDetector(folder, flags.experts);
        return { version: detector.version, ...(await runSelfTest(engine, detector)) };
      };
      let repairedWith: string | undefined;
      try {
        const report = await check().catch(async (error: unknown) => {
          if (flags.repair === undefined || !(error instanceof DetectorError)) throw error;
          output.stderr.write(`mkd: ${error.message}\n`);
          await repair(folder, flags.repair, flags.experts);
          repairedWith = flags.repair;
          return check();
        });
        const { provider } = engine;
        printResult(output, flags, { detector: nameOrFolder, provider, ...report, repairedWith }, () => {
          const repaired =
            repairedWith === undefined ? '' : `${nameOrFolder}: repaired with the files of ${repairedWith}\n`;
          return (
            `${repaired}${nameOrFolder}: version ${report.version} passed on ${provider}; ` +
            `${report.images} images scored, largest difference ${report.scoreDifference.toExponential(1)} ` +
            `in scores and ${report.mapDifference.toExponential(1)} in maps\n`
          );
        });
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
