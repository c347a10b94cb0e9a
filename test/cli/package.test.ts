/** What `npm install` of the package relies on; `npm run check:package` installs it for real. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = new URL('../../../', import.meta.url);

async function json(file: string): Promise<Record<string, Record<string, unknown>>> {
  return JSON.parse(await readFile(new URL(file, root), 'utf8'));
}

t.test(
  "npm ci downloads no CUDA libraries: the lock file leaves out onnxruntime-node's script",
  async (t) => {
    const { packages = {} } = await json('package-lock.json');
    const { hasInstallScript, version } = packages['node_modules/onnxruntime-node'] as Record<
      string,
      unknown
    >;
    t.equal(
      hasInstallScript,
      undefined,
      'remove "hasInstallScript" of onnxruntime-node from package-lock.json',
    );
    t.type(version, 'string');
  },
);

t.test('the public types need no types of other packages, which old compilers cannot read', async (t) => {
  const seen = new Set<string>();
  const packages = new Set<string>();
  const visit = async (file: URL): Promise<void> => {
    if (seen.has(file.href)) return;
    seen.add(file.href);
    const text = await readFile(file, 'utf8');
    for (const [, name = ''] of text.matchAll(/(?:from|import\()\s*'([^']+)'/g)) {
      if (name.startsWith('.')) await visit(new URL(name.replace(/\.js$/, '.d.ts'), file));
      else packages.add(name);
    }
  };
  await visit(new URL('dist/src/index.d.ts', root));
  t.ok(seen.size > 50, fileURLToPath(root));
  t.same([...packages].sort(), ['typebox']);
});
