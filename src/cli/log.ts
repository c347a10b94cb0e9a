/** The log of commands that run until they are stopped. */
import type { Writable } from 'node:stream';
import type { Output } from './output.js';

/** JSON lines for programs that read them; on a terminal, lines for people. */
export async function loggerFor(
  { stdout }: Output,
  level: string,
): Promise<{ readonly level: string; readonly stream?: Writable }> {
  if (!stdout.isTTY) return stdout === process.stdout ? { level } : { level, stream: stdout };
  const { PinoPretty: pretty } = await import('pino-pretty');
  const stream = pretty({
    destination: stdout,
    colorize: true,
    translateTime: 'SYS:HH:MM:ss',
    ignore: 'pid,hostname',
    hideObject: true,
    messageFormat: (log, messageKey) =>
      [log[messageKey], ...Object.entries(log).flatMap(([name, value]) => detail(name, value))].join('  '),
  });
  return { level, stream };
}

/** Fields that a line has anyway, or that only programs need. */
const hidden: ReadonlySet<string> = new Set(
  'level time pid hostname msg reqId method url status ms remoteAddress'.split(' '),
);

function detail(name: string, value: unknown): string[] {
  if (hidden.has(name)) return [];
  if (typeof value === 'string') return [`${name} ${value}`];
  if (typeof value !== 'number') return [];
  return [`${name} ${Number.isInteger(value) ? value : Number(value.toPrecision(3))}`];
}
