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
import { UsageError, wholeNumber } from './options.js';

interface AddFlags {
  readonly scope: Scope[];
  readonly rate?: number;
  readonly replace?: true;
}

/** `mkd keys` */
export function keysCommand(): Command {
  return new Command('keys')
    .description(
      'API keys for mkd serve --keys. A running service follows the file; keys are kept as hashes.',
    )
    .addCommand(addCommand())
    .addCommand(removeCommand())
    .addCommand(listCommand());
}

function addCommand(): Command {
  return new Command('add')
    .description('Make a key. It is printed once and kept nowhere.')
    .argument('<file>', 'file of keys; made if it is not there')
    .argument('<name>', 'whose key it is: letters, digits, dot, dash, underscore')
    .addOption(new Option('--scope <scope...>', 'what it may do').choices(scopes).default(['score']))
    .option('--rate <n>', 'requests in a minute, at most', wholeNumber(1))
    .option('--replace', 'take back the key of that name, and make one with these scopes and rate instead')
    .action(async (file: string, name: string, { scope, rate, replace }: AddFlags) => {
      if (!/^[A-Za-z0-9._-]{1,64}$/.test(name)) {
        throw new UsageError(`name '${name}': wanted up to 64 letters, digits, dots, dashes and underscores`);
      }
      const known = await keysIn(file);
      const others = known.filter((other) => other.name !== name);
      if (others.length < known.length && !replace) {
        throw new UsageError(`${name} has a key already; --replace takes it back and makes another`);
      }
      const key = makeKey();
      const entry: ApiKey = {
        name,
        scopes: [...scope],
        sha256: hashKey(key),
        ...(rate === undefined ? {} : { ratePerMinute: rate }),
      };
      await writeKeyFile(file, [...others, entry]);
      process.stdout.write(`${key}\n`);
    });
}

function removeCommand(): Command {
  return new Command('remove')
    .description('Take a key back.')
    .argument('<file>', 'file of keys')
    .argument('<name>', 'whose key')
    .action(async (file: string, name: string) => {
      const keys = await readKeyFile(file);
      if (!keys.some((key) => key.name === name)) {
        throw new UsageError(
          `there is no key of ${name}; there are ${keys.map((key) => key.name).join(', ') || 'none'}`,
        );
      }
      await writeKeyFile(
        file,
        keys.filter((key) => key.name !== name),
      );
    });
}

function listCommand(): Command {
  return new Command('list')
    .description('Names, scopes and rates; no keys, since only their hashes are kept.')
    .argument('<file>', 'file of keys')
    .action(async (file: string) => {
      for (const { name, scopes: may, ratePerMinute } of await readKeyFile(file)) {
        const rate = ratePerMinute === undefined ? 'no limit' : `${ratePerMinute} requests a minute`;
        process.stdout.write(`${name}  ${may.join(', ')}  ${rate}\n`);
      }
    });
}

/** No file is as good as an empty one. */
async function keysIn(file: string): Promise<ApiKey[]> {
  return (await stat(file).catch(() => undefined)) ? readKeyFile(file) : [];
}
