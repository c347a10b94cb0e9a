/** Messages in one line: errors, those of the operating system in words that say what would be right, and lists. */

interface SystemError extends Error {
  readonly code: string;
  readonly syscall?: string;
  readonly path?: string;
}

/** @param path of the file in question, for errors that do not name it, as when a folder is read. */
export function explain(error: unknown, path = 'it'): string {
  const message = error instanceof Error ? error.message : String(error);
  return ((isSystemError(error) && inWords(error, error.path ?? path)) || message).replace(/\s*\n\s*/g, ' ');
}

function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && typeof (error as Partial<SystemError>).code === 'string';
}

function inWords({ code, syscall }: SystemError, path: string): string | undefined {
  switch (code) {
    case 'ENOENT':
      return syscall === 'mkdir' ? `${path} cannot be made` : `${path} does not exist`;
    case 'EISDIR':
      return `${path} is a folder; wanted a file`;
    case 'ENOTDIR':
    case 'EEXIST':
      return `${path} is a file, or lies below one; wanted a folder`;
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return `${path} may not be accessed; check its permissions`;
    case 'ENOSPC':
      return `the disk is full${path === 'it' ? '' : ` at ${path}`}`;
    default:
      return undefined;
  }
}

/** Of a list in a message, so many are named. */
const named = 3;

/** The first of a list of names. */
export function firstOf(names: readonly string[]): string {
  return `${names.slice(0, named).join(', ')}${names.length > named ? ', ...' : ''}`;
}
