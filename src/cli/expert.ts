import { Command, InvalidArgumentError, Option } from 'commander';
import { importExpert } from '../experts/index.js';
import { type DeviceFlags, deviceOptions, withDeviceOptions } from './options.js';

interface Flags extends DeviceFlags {
  readonly out: string;
  readonly layers?: string[];
  readonly input?: 'torchvision' | 'caffe';
}

/** Parses names with commas between them. */
function layerNames(list: string): string[] {
  const names = list.split(',').map((name) => name.trim());
  if (names.every((name) => name !== '')) return names;
  throw new InvalidArgumentError('wanted names with commas between them.');
}

/** `mkd expert import` */
export function expertCommand(): Command {
  const importing = withDeviceOptions(new Command('import'))
    .description(
      'Take another network as the expert: checks it, measures its activations, writes weights and card.',
    )
    .argument(
      '<file>',
      "a VGG-16 as .safetensors or .onnx, with torchvision's names or conv1_1 to conv5_3; any network as .onnx",
    )
    .option(
      '--layers <a,b,c>',
      'critical layers of a network that is no VGG-16: names of values or nodes',
      layerNames,
    )
    .option('--out <dir>', 'folder for weights and card', 'experts')
    .addOption(
      new Option(
        '--input <convention>',
        'input the weights were trained for, if not told by their names',
      ).choices(['torchvision', 'caffe']),
    )
    .action(async (file: string, flags: Flags) => {
      const { card, fingerprint } = await importExpert({
        file,
        out: flags.out,
        device: deviceOptions(flags),
        ...(flags.layers ? { layers: flags.layers } : {}),
        ...(flags.input ? { input: flags.input } : {}),
      });
      process.stdout.write(
        `${card}: expert ${fingerprint.slice(0, 12)}; use it with mkd distill --expert ${card}\n`,
      );
    });
  return new Command('expert')
    .description('Experts other than the one that ships with mkd.')
    .addCommand(importing);
}
