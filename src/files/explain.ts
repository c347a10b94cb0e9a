/** One-line messages for errors and lists. System errors are put into words that say what would be right. */

interface SystemError extends Error {
  readonly code: string;
  readonly syscall?: string;
  readonly path?: string;
}

/** Returns an error as one line. @param path used if the error names no file, as when a folder is read. */
export function describeError(error: unknown, path = 'it'): string {
  const message = error instanceof Error ? error.message : String(error);
  return ((isSystemError(error) && inWords(error, error.path ?? path)) || message).replace(/\s*\n\s*/g, ' ');
}

/** Whether the operating system reported it: a disk, a permission, a network. */
export function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && typeof (error as Partial<SystemError>).code === 'string';
}

function inWords({ code, syscall }: SystemError, path: string): string | undefined {
  switch (code) {
    case 'ENOENT':
      return syscall === 'mkdir' ? `${path} cannot be created` : `${path} does not exist`;
    case 'EISDIR':
      return `${path} is a folder; wanted a file`;
    case 'ENOTDIR':
    case 'EEXIST':
      return `${path} is a file or inside one; wanted a folder`;
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return `${path} is not accessible; check its permissions`;
    case 'ENOSPC':
      return `the disk is full${path === 'it' ? '' : ` at ${path}`}`;
    default:
      return undefined;
  }
}

/** Number of names listed in a message. */
const named = 3;

/** Returns the first names of a list, followed by `...` if there are more. */
export function firstNames(names: readonly string[]): string {
  return `${names.slice(0, named).join(', ')}${names.length > named ? ', ...' : ''}`;
}
