/** Ctrl-C at any time says what it did. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const program = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** Tells the process that waits when the program begins to listen to Ctrl-C. */
const telling = "process.on('newListener', (name) => name === 'SIGINT' && process.send('listens'))";

t.test('Ctrl-C while the program loads says that nothing was begun', async (t) => {
  const args = ['--import', `data:text/javascript,${telling}`, program, 'distill', 'examples'];
  // The test runner gives its children a module that listens to signals as well.
  const child = spawn(
    'env',
    ['NODE_OPTIONS=', process.execPath, ...args, '--out', `${t.testdir()}/detector`],
    {
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    },
  );
  const told = text(child.stderr as NodeJS.ReadableStream);
  const ended = once(child, 'exit');
  await once(child, 'message');
  child.kill('SIGINT');
  t.strictSame(await ended, [null, 'SIGINT']);
  t.equal(await told, 'mkd: stopped before anything was begun\n');
});
