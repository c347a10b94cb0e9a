import { basename } from 'node:path';
import { Command, Option } from 'commander';
import { findDetector, readDetector } from '../detector/index.js';
import {
  defaultExport,
  type ExportedInput,
  type ExportedOutput,
  exportedInputs,
  exportedOutputs,
  onnxFile,
  writeTritonModel,
} from '../export/index.js';
import { replaceFile } from '../files/replace-file.js';
import { sidesOf } from '../imaging/index.js';
import {
  detectorArgument,
  type ExpertFlags,
  type JsonFlag,
  jsonOption,
  UsageError,
  withExperts,
} from './options.js';
import { type Output, printResult } from './output.js';

interface Flags extends ExpertFlags, JsonFlag {
  readonly onnx?: string;
  readonly triton?: string;
  readonly name?: string;
  readonly input: ExportedInput;
  readonly outputs: readonly ExportedOutput[];
}

/** `mkd export` */
export function exportCommand(output: Output): Command {
  return withExperts(new Command('export'))
    .description(
      'Write a detector as one ONNX file for other runtimes: an image in; score, map and gradient out; weights inside.',
    )
    .addArgument(detectorArgument())
    .option('--onnx <file>', 'the file to write')
    .option('--triton <dir>', 'model repository of a Triton Inference Server, to which a model is added')
    .option('--name <name>', 'name of the model in the repository; by default that of the detector')
    .addOption(
      new Option(
        '--input <type>',
        'uint8: pixels [n, height, width, 3]; float32: planes in 0..1 [n, 3, height, width]',
      )
        .choices(exportedInputs)
        .default(defaultExport.input),
    )
    .addOption(
      new Option('--outputs <names...>', 'what the graph computes, each time; fewer are faster')
        .choices(exportedOutputs)
        .default(defaultExport.outputs, 'score, map, gradient'),
    )
    .addOption(jsonOption())
    .action(async (nameOrFolder: string, flags: Flags) => {
      const { onnx, triton, input, outputs } = flags;
      if (onnx === undefined && triton === undefined) {
        throw new UsageError('pass --onnx with a file, or --triton with a model repository');
      }
      const folder = await findDetector(nameOrFolder);
      const detector = await readDetector(folder, flags.experts);
      const { width, height } = sidesOf(detector.shape.inputSize);
      const takes = detector.input.tiling
        ? `tiles of ${width} x ${height}`
        : `images of ${width} x ${height}`;
      const result: { onnx?: object; triton?: object } = {};
      const lines: string[] = [];
      if (onnx !== undefined) {
        const bytes = await onnxFile(detector, { input, outputs });
        await replaceFile(onnx, bytes);
        const size = (bytes.length / 2 ** 20).toFixed(1);
        lines.push(
          `${onnx}: ${outputs.join(', ')} of ${takes}, ${input}, ${size} MiB; thresholds are in its metadata`,
        );
        result.onnx = { file: onnx, bytes: bytes.length, input, outputs, width, height };
      }
      if (triton !== undefined) {
        const name = flags.name ?? basename(nameOrFolder);
        const model = await writeTritonModel(triton, name, detector);
        lines.push(`${model}: model ${name}, score and map of ${takes}`);
        result.triton = { folder: model, name, width, height };
      }
      printResult(output, flags, result, () => `${lines.join('\n')}\n`);
    });
}
