/** Text files of any editor. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { readText } from '../../src/files/read-text.js';

const text = '{"Fläche": "∅ 3 mm"}';
const mark = '\ufeff';

/** UTF-16 with the high byte first. */
function bigEndian(content: string): Buffer {
  return Buffer.from(content, 'utf16le').swap16();
}

t.test('text is read in UTF-8 and UTF-16, with and without a byte order mark', async (t) => {
  const path = join(t.testdir(), 'settings.json');
  for (const [name, bytes] of [
    ['UTF-8', Buffer.from(text)],
    ['UTF-8 with a mark', Buffer.from(mark + text)],
    ['UTF-16, low byte first', Buffer.from(mark + text, 'utf16le')],
    ['UTF-16, high byte first', bigEndian(mark + text)],
    ['UTF-16 without a mark, low byte first', Buffer.from(text, 'utf16le')],
    ['UTF-16 without a mark, high byte first', bigEndian(text)],
  ] as const) {
    await writeFile(path, bytes);
    t.equal(await readText(path), text, name);
  }
  await writeFile(path, '');
  t.equal(await readText(path), '', 'an empty file');
});
