/**
 * API keys: a file of names, scopes and hashes. A key is 32 random bytes, so that one SHA-256 protects it as well as
 * a slow hash protects a password; the key itself is shown once, when it is created, and never stored.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { unwatchFile, watchFile } from 'node:fs';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { describeError } from '../../files/explain.js';
import { readText } from '../../files/read-text.js';
import { replaceFile } from '../../files/replace-file.js';

/** What a key may do: score and read results, read metrics, or everything. */
export const scopes = ['score', 'metrics', 'admin'] as const;
export type Scope = (typeof scopes)[number];

const apiKeySchema = Type.Object(
  {
    name: Type.String({ pattern: '^[A-Za-z0-9._-]{1,64}$' }),
    scopes: Type.Array(Type.Unsafe<Scope>({ type: 'string', enum: scopes }), { minItems: 1 }),
    sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    /** Requests per minute; without it there is no limit. */
    ratePerMinute: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  { additionalProperties: false },
);
export type ApiKey = Static<typeof apiKeySchema>;

const keyFileSchema = Type.Object({ schema: Type.Literal('mkd.keys/1'), keys: Type.Array(apiKeySchema) });

/** The key file cannot be used; the message says why. */
export class KeyFileError extends Error {
  override readonly name = 'KeyFileError';
}

/** Creates a key. */
export function makeKey(): string {
  return `mkd_${randomBytes(32).toString('base64url')}`;
}

export function hashKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/** @throws KeyFileError if it cannot be read, or a name is used twice. */
export async function readKeyFile(path: string): Promise<ApiKey[]> {
  const text = await readText(path).catch((error: unknown) => {
    throw new KeyFileError(
      `the key file cannot be read: ${describeError(error, path)}; mkd keys add creates one`,
    );
  });
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    throw new KeyFileError(`${path} is not JSON; pass a file that mkd keys add has written`);
  }
  if (!Value.Check(keyFileSchema, file)) {
    const [first] = Value.Errors(keyFileSchema, file);
    throw new KeyFileError(
      `${path} is not a key file: ${first?.instancePath || 'the file'} ${first?.message ?? ''}`,
    );
  }
  const names = file.keys.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new KeyFileError(`${path} has two keys with the name ${twice}`);
  return file.keys;
}

/** Writes the file in one step, readable by its owner only. */
export async function writeKeyFile(path: string, keys: readonly ApiKey[]): Promise<void> {
  const text = `${JSON.stringify({ schema: 'mkd.keys/1', keys }, null, 2)}\n`;
  await replaceFile(path, text, 0o600);
}

/** How often the file is checked for changes. */
const watchEveryMs = 1000;

/** The keys of a running service. */
export class KeyRing {
  #keys: readonly ApiKey[];

  private constructor(
    private readonly path: string,
    keys: readonly ApiKey[],
  ) {
    this.#keys = keys;
  }

  /** @throws KeyFileError */
  static async open(path: string): Promise<KeyRing> {
    return new KeyRing(path, await readKeyFile(path));
  }

  /**
   * Follows the file, so that rotating a key needs no restart. If the file cannot be used, the old keys stay.
   * @param onChange receives the new keys, or what is wrong with the file.
   */
  follow(onChange: (change: readonly ApiKey[] | Error) => void): void {
    watchFile(this.path, { interval: watchEveryMs, persistent: false }, async () => {
      try {
        this.#keys = await readKeyFile(this.path);
        onChange(this.#keys);
      } catch (error) {
        onChange(error as Error);
      }
    });
  }

  /** Returns the key that was presented, if it is known. Takes the same time for every key. */
  find(presented: string): ApiKey | undefined {
    const hash = Buffer.from(hashKey(presented), 'hex');
    let found: ApiKey | undefined;
    for (const key of this.#keys) {
      if (timingSafeEqual(Buffer.from(key.sha256, 'hex'), hash)) found = key;
    }
    return found;
  }

  /** Stops following the file. */
  close(): void {
    unwatchFile(this.path);
  }
}
