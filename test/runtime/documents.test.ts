/** What the documents say of onnxruntime. */
import { readFile } from 'node:fs/promises';
import t from 'tap';

t.test("the README fetches CUDA's libraries of the very version that is installed", async (t) => {
  const root = new URL('../../../', import.meta.url);
  const readme = await readFile(new URL('README.md', root), 'utf8');
  const manifest = await readFile(new URL('node_modules/onnxruntime-node/package.json', root), 'utf8');
  const { version } = JSON.parse(manifest) as { version: string };
  t.match(readme, `onnxruntime-gpu==${version}\n`);
});
