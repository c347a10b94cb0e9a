/**
 * Who may know whom. Folders of src lie on floors: a file may import from its own folder and from folders on lower floors,
 * never from a folder on its own floor or above. `npm run lint` checks it; docs/architecture.md has the picture
 * (`npm run house`).
 */
const floors = [
  ['random', 'files', 'batching', 'onnx'],
  ['autodiff', 'weights', 'runtime', 'imaging', 'objective'],
  ['networks', 'datasets'],
  ['detector', 'experts'],
  ['scoring'],
  ['distillation', 'evaluation', 'export', 'recalibration', 'repository', 'observability'],
  ['jobs', 'reports'],
  ['http', 'queue'],
  ['library.ts'],
  ['cli', 'index.ts'],
];

const inSrc = (names) => `^src/(${names.map((name) => name.replace('.', '\\.')).join('|')})(/|$)`;

const upward = floors.flatMap((floor, index) =>
  floor.map((name) => ({
    name: `floor-of-${name.replace('.ts', '')}`,
    comment: 'A folder knows only the floors below its own.',
    severity: 'error',
    from: { path: inSrc([name]) },
    to: {
      path: inSrc(
        floors
          .slice(index)
          .flat()
          .filter((other) => other !== name),
      ),
    },
  })),
);

module.exports = {
  forbidden: [
    ...upward,
    {
      name: 'every-folder-has-a-floor',
      comment: 'Name a new folder in .dependency-cruiser.cjs.',
      severity: 'error',
      from: {},
      to: { path: '^src/', pathNot: [inSrc(floors.flat()), '^src/(library|index)\\.ts$'] },
    },
    { name: 'no-cycle', severity: 'error', from: { path: '^src/' }, to: { circular: true } },
    {
      name: 'only-runtime-knows-onnxruntime',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/runtime/onnxruntime\\.ts$' },
      to: { path: 'node_modules/onnxruntime' },
    },
    {
      name: 'only-imaging-knows-sharp',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/imaging/', '^src/datasets/write-sample\\.ts$'] },
      to: { path: 'node_modules/sharp/' },
    },
    {
      name: 'scoring-knows-no-http-no-metrics',
      severity: 'error',
      from: { path: '^src/scoring/' },
      to: { path: ['node_modules/(fastify|@fastify|prom-client|@opentelemetry)/'] },
    },
    {
      name: 'no-orphan',
      comment: 'A file that nobody imports is dead.',
      severity: 'error',
      from: { orphan: true, path: '^src/' },
      to: {},
    },
    {
      name: 'not-a-dependency',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'unknown'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // The page is bundled by Vite, and the parser used here reads no TSX. Biome finds cycles there.
    exclude: { path: ['^src/web/', '[.]tsx$'] },
    tsPreCompilationDeps: true,
    parser: 'swc',
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'default'] },
  },
};

// For bench/house.ts, which draws them; dependency-cruiser does not see it.
Object.defineProperty(module.exports, 'floors', { value: floors, enumerable: false });
