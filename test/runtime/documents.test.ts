/** What the documents say about onnxruntime. */
import { readFile } from 'node:fs/promises';
import t from 'tap';

t.test(
  'the CUDA libraries in docs/operations.md have the version of the installed onnxruntime',
  async (t) => {
    const root = new URL('../../../', import.meta.url);
    const operations = await readFile(new URL('docs/operations.md', root), 'utf8');
    const manifest = await readFile(new URL('node_modules/onnxruntime-node/package.json', root), 'utf8');
    const { version } = JSON.parse(manifest) as { version: string };
    t.match(operations, `onnxruntime-gpu==${version}\n`);
  },
);
