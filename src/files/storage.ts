/** Files that workers read and write: paths, or objects in an S3-compatible bucket. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { S3Client } from '@aws-sdk/client-s3';
import { describeError } from './explain.js';
import { makeFolder } from './folders.js';
import { replaceFile } from './replace-file.js';

const scheme = 's3://';

export function isObject(reference: string): boolean {
  return reference.startsWith(scheme);
}

export interface ListedObject {
  readonly reference: string;
  /** Changes when the object changes. */
  readonly tag: string;
}

/** The file does not exist, and trying again does not help. */
export class MissingFileError extends Error {
  override readonly name = 'MissingFileError';
}

/**
 * Reads and writes by reference. The client of buckets takes its region, keys and address from the environment, as all
 * programs for S3 do: AWS_REGION, AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3 and so on. It is loaded when it is first needed.
 */
export class Storage {
  #client: S3Client | undefined;

  /** @throws MissingFileError; other errors may pass. */
  async read(reference: string): Promise<Uint8Array> {
    if (!isObject(reference)) {
      // A pipe or a device might be waited for for ever.
      const status = await stat(reference).catch(() => undefined);
      if (status && !status.isFile() && !status.isDirectory()) {
        throw new MissingFileError(`${reference} is no file`);
      }
      return readFile(reference).catch((error: NodeJS.ErrnoException) => {
        const isMissing = ['ENOENT', 'ENOTDIR', 'EISDIR'].includes(error.code ?? '');
        if (!isMissing) throw error;
        const isFolder = error.code === 'EISDIR';
        throw new MissingFileError(
          isFolder ? describeError(error, reference) : `${reference} does not exist`,
        );
      });
    }
    const { client, GetObjectCommand } = await this.#bucket();
    try {
      const { Body } = await client.send(new GetObjectCommand(addressOf(reference)));
      return (await Body?.transformToByteArray()) ?? new Uint8Array();
    } catch (error) {
      const isMissing = (error as Error).name === 'NoSuchKey';
      throw isMissing ? new MissingFileError(`${reference} does not exist`) : error;
    }
  }

  /** Writes a file as a whole: readers see all of it or nothing, also if this process ends. */
  async write(reference: string, content: Uint8Array): Promise<void> {
    if (!isObject(reference)) {
      await makeFolder(dirname(reference));
      await replaceFile(reference, content);
      return;
    }
    const { client, PutObjectCommand } = await this.#bucket();
    await client.send(new PutObjectCommand({ ...addressOf(reference), Body: content }));
  }

  /** Lists the objects whose keys begin with a prefix. */
  async list(prefix: string): Promise<ListedObject[]> {
    return this.#list(prefix, {});
  }

  /** Returns the names of the files that are directly in a folder; none if there is no such folder. */
  async names(folder: string): Promise<string[]> {
    if (isObject(folder)) {
      const objects = await this.#list(`${folder}/`, { Delimiter: '/' });
      return objects.map(({ reference }) => basename(reference));
    }
    const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    return entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  }

  async #list(prefix: string, how: { readonly Delimiter?: string }): Promise<ListedObject[]> {
    const { client, paginateListObjectsV2 } = await this.#bucket();
    const { Bucket, Key: Prefix } = addressOf(prefix);
    const found: ListedObject[] = [];
    for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket, Prefix, ...how })) {
      for (const { Key, ETag, Size } of Contents) {
        if (Key !== undefined && !Key.endsWith('/')) {
          found.push({ reference: `${scheme}${Bucket}/${Key}`, tag: `${ETag} ${Size}` });
        }
      }
    }
    return found;
  }

  async close(): Promise<void> {
    this.#client?.destroy();
  }

  async #bucket(): Promise<typeof import('@aws-sdk/client-s3') & { readonly client: S3Client }> {
    // Which Node.js runs here is not its business to tell in every start.
    process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
    const library = await import('@aws-sdk/client-s3');
    // Servers other than Amazon's have no host name for each bucket.
    const own = process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL;
    this.#client ??= new library.S3Client({ forcePathStyle: own !== undefined });
    await this.#client.config.region().catch(() => {
      throw new Error('buckets need a region; set AWS_REGION, for example to eu-central-1');
    });
    return { ...library, client: this.#client };
  }
}

function addressOf(reference: string): { readonly Bucket: string; readonly Key: string } {
  const [, Bucket = '', Key = ''] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(reference) ?? [];
  if (Bucket === '') throw new Error(`${reference} names no bucket; wanted s3://bucket/key`);
  return { Bucket, Key };
}
