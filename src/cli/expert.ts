import { Command, InvalidArgumentError, Option } from 'commander';
import { importExpert } from '../experts/index.js';
import { type DeviceFlags, deviceOptions, type JsonFlag, jsonOption, withDeviceOptions } from './options.js';
import { type Output, printResult } from './output.js';

interface Flags extends DeviceFlags, JsonFlag {
  readonly out: string;
  readonly layers?: string[];
  readonly input?: 'torchvision' | 'caffe';
}

/** Parses comma-separated names. */
function layerNames(list: string): string[] {
  const names = list.split(',').map((name) => name.trim());
  if (names.every((name) => name !== '')) return names;
  throw new InvalidArgumentError('Must be names separated by commas.');
}

/** `mkd expert import` */
export function expertCommand(output: Output): Command {
  const importing = withDeviceOptions(new Command('import'))
    .description(
      'Import another network as the expert: check it, measure its activations, write weights and card.',
    )
    .argument(
      '<file>',
      "VGG-16 as .safetensors or .onnx, with torchvision's names or conv1_1 to conv5_3; or any network as .onnx",
    )
    .option(
      '--layers <a,b,c>',
      'critical layers of a network other than VGG-16: names of values or nodes',
      layerNames,
    )
    .option('--out <dir>', 'folder for weights and card', 'experts')
    .addOption(
      new Option(
        '--input <convention>',
        'input the weights were trained for, if their names do not show it',
      ).choices(['torchvision', 'caffe']),
    )
    .addOption(jsonOption())
    .action(async (file: string, flags: Flags) => {
      const { card, fingerprint } = await importExpert({
        file,
        out: flags.out,
        device: deviceOptions(flags),
        ...(flags.layers ? { layers: flags.layers } : {}),
        ...(flags.input ? { input: flags.input } : {}),
      });
      printResult(
        output,
        flags,
        { card, fingerprint },
        () => `${card}: expert ${fingerprint.slice(0, 12)}; use it with mkd distill --expert ${card}\n`,
      );
    });
  return new Command('expert')
    .description('Use experts other than the one that ships with mkd.')
    .addCommand(importing);
}
