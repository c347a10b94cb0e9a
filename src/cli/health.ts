/**
 * The container's health check: whether the service on this machine is ready. Where it listens is read from the command line,
 * the variables and the file that it was started with, in this order. It runs every few seconds and therefore loads little.
 */
import { readFileSync } from 'node:fs';
import { get as getPlain } from 'node:http';
import { get as getSecure } from 'node:https';
import { parseArgs } from 'node:util';
import { readText } from '../files/read-text.js';

/** The first process of a container is the service, or what started it with the same arguments. */
const [, , service = '1'] = process.argv;

const options = {
  config: { type: 'string' },
  host: { type: 'string' },
  port: { type: 'string' },
  'operations-port': { type: 'string' },
  'tls-cert': { type: 'string' },
} as const;
const flags = flagsOf(service);
const file = await fileOf(flags.config ?? process.env.MKD_CONFIG);
const { env } = process;
const host = flags.host ?? env.HOST ?? file.host ?? '0.0.0.0';
const port = flags.port ?? env.PORT ?? file.port ?? 8080;
const operationsPort = flags['operations-port'] ?? env.MKD_OPERATIONS_PORT ?? file.operationsPort;
const certificate = flags['tls-cert'] ?? env.MKD_TLS_CERT ?? file.tlsCert;

// The operations port is always plain HTTP. The certificate is for another name than this address.
const secure = operationsPort === undefined && certificate !== undefined;
const reached = ['0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
const url = `${secure ? 'https' : 'http'}://${reached}:${operationsPort ?? port}/health/ready`;
const request = secure ? getSecure(url, { rejectUnauthorized: false }, judge) : getPlain(url, judge);
request.on('error', (error) => {
  console.error(`${url}: ${error.message}`);
  process.exit(1);
});

function judge({ statusCode }: { statusCode?: number | undefined }): void {
  if (statusCode !== 200) console.error(`${url}: ${statusCode}`);
  process.exit(statusCode === 200 ? 0 : 1);
}

/** Reads the flags of a process; none where processes have no files. */
function flagsOf(id: string) {
  try {
    const all = readFileSync(`/proc/${id}/cmdline`, 'utf8').split('\0');
    // What the first process of a container starts comes after its own arguments.
    const args = all.slice(all.indexOf('--') + 1);
    return parseArgs({ args, options, strict: false, allowPositionals: true }).values as Flags;
  } catch {
    return {};
  }
}

type Flags = { readonly [name in keyof typeof options]?: string };

interface ConfigFile {
  readonly host?: string;
  readonly port?: number;
  readonly operationsPort?: number;
  readonly tlsCert?: string;
}

/** Reads a file of settings. The service itself says what is wrong with it. */
async function fileOf(path: string | undefined): Promise<ConfigFile> {
  if (path === undefined) return {};
  try {
    return JSON.parse(await readText(path)) as ConfigFile;
  } catch {
    return {};
  }
}
