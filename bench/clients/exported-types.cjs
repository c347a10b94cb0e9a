/** Prints the types of mkd's own that its exported signatures name, but that it does not export. Run by check-package. */
const ts = require('typescript');

const program = ts.createProgram([process.argv[2]], {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  strict: true,
});
const checker = program.getTypeChecker();
const entry = program.getSourceFiles().find(({ fileName }) => fileName.endsWith('/mkd/dist/src/index.d.ts'));
const target = (symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol);
const exported = new Set(checker.getExportsOfModule(checker.getSymbolAtLocation(entry)).map(target));
const missing = new Map();

function visit(node, from) {
  const isPrivate = node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword);
  if (isPrivate || (node.name && ts.isPrivateIdentifier(node.name))) return;
  const name = ts.isTypeReferenceNode(node)
    ? node.typeName
    : ts.isExpressionWithTypeArguments(node)
      ? node.expression
      : undefined;
  const symbol = name && checker.getSymbolAtLocation(name);
  if (symbol) {
    const named = target(symbol);
    const own = named.declarations?.some((declaration) =>
      declaration.getSourceFile().fileName.includes('/mkd/dist/'),
    );
    const isParameter = named.flags & ts.SymbolFlags.TypeParameter;
    if (own && !isParameter && !exported.has(named)) missing.set(named.name, from);
  }
  node.forEachChild((child) => visit(child, from));
}

for (const symbol of exported) {
  for (const declaration of symbol.declarations) visit(declaration, symbol.name);
}
for (const [name, from] of missing) console.log(`${name}, named by ${from}`);
