import { stat } from 'node:fs/promises';
import { Command, Option } from 'commander';
import {
  type ApiKey,
  hashKey,
  makeKey,
  readKeyFile,
  type Scope,
  scopes,
  writeKeyFile,
} from '../http/index.js';
import { type JsonFlag, jsonOption, UsageError, wholeNumber } from './options.js';
import { type Output, printResult } from './output.js';

interface AddFlags extends JsonFlag {
  readonly scope: Scope[];
  readonly rate?: number;
  readonly replace?: true;
}

/** `mkd keys` */
export function keysCommand(output: Output): Command {
  return new Command('keys')
    .description(
      'Manage API keys for mkd serve --keys. A running service reloads the file; only hashes are stored.',
    )
    .addCommand(addCommand(output))
    .addCommand(removeCommand(output))
    .addCommand(listCommand(output));
}

function addCommand(output: Output): Command {
  return new Command('add')
    .description('Create a key. It is printed once and not stored.')
    .argument('<file>', 'key file; created if it does not exist')
    .argument('<name>', 'name of the key: letters, digits, dot, dash, underscore')
    .addOption(new Option('--scope <scope...>', 'what the key allows').choices(scopes).default(['score']))
    .option('--rate <n>', 'maximum requests per minute', wholeNumber(1))
    .option('--replace', 'revoke the key of that name and create one with these scopes and rate')
    .addOption(jsonOption())
    .action(async (file: string, name: string, flags: AddFlags) => {
      const { scope, rate, replace } = flags;
      if (!/^[A-Za-z0-9._-]{1,64}$/.test(name)) {
        throw new UsageError(`name '${name}': must be 1 to 64 letters, digits, dots, dashes and underscores`);
      }
      const known = await readKeysIfPresent(file);
      const others = known.filter((other) => other.name !== name);
      if (others.length < known.length && !replace) {
        throw new UsageError(`${name} already has a key; --replace revokes it and creates another`);
      }
      const key = makeKey();
      const entry: ApiKey = {
        name,
        scopes: [...scope],
        sha256: hashKey(key),
        ...(rate === undefined ? {} : { ratePerMinute: rate }),
      };
      await writeKeyFile(file, [...others, entry]);
      const { sha256: _, ...shown } = entry;
      printResult(output, flags, { ...shown, key }, () => `${key}\n`);
    });
}

function removeCommand(output: Output): Command {
  return new Command('remove')
    .description('Revoke a key.')
    .argument('<file>', 'key file')
    .argument('<name>', 'name of the key')
    .addOption(jsonOption())
    .action(async (file: string, name: string, flags: JsonFlag) => {
      const keys = await readKeyFile(file);
      if (!keys.some((key) => key.name === name)) {
        throw new UsageError(
          `there is no key named ${name}; available: ${keys.map((key) => key.name).join(', ') || 'none'}`,
        );
      }
      await writeKeyFile(
        file,
        keys.filter((key) => key.name !== name),
      );
      printResult(output, flags, { removed: name }, () => '');
    });
}

function listCommand(output: Output): Command {
  return new Command('list')
    .description('List names, scopes and rates. The keys themselves are not stored.')
    .argument('<file>', 'key file')
    .addOption(jsonOption())
    .action(async (file: string, flags: JsonFlag) => {
      const keys = await readKeyFile(file);
      const shown = keys.map(({ sha256: _, ...key }) => key);
      printResult(output, flags, { keys: shown }, () =>
        keys
          .map(({ name, scopes: may, ratePerMinute }) => {
            const rate = ratePerMinute === undefined ? 'no limit' : `${ratePerMinute} requests per minute`;
            return `${name}  ${may.join(', ')}  ${rate}\n`;
          })
          .join(''),
      );
    });
}

/** Returns no keys if there is no file yet. */
async function readKeysIfPresent(file: string): Promise<ApiKey[]> {
  return (await stat(file).catch(() => undefined)) ? readKeyFile(file) : [];
}
