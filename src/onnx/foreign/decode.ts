/**
 * Adds part of an imported ONNX model to one of our graphs. The nodes are added one by one through our operators, which
 * infer all shapes again, so the input may have another size. Nodes that no requested value needs are left out.
 */
import { fromBinary } from '@bufbuild/protobuf';
import type { Graph } from '../graph.js';
import { type ModelProto, ModelProtoSchema } from '../schema/onnx_pb.js';
import { type ConstantTensor, type Dim, GraphError } from '../types.js';
import type { Value } from '../value.js';
import type { KnownTensor } from './known-arrays.js';
import { fold, knownConstant, knownSizes, storedTensor } from './known-tensors.js';
import { ForeignNode, type StoredNode } from './node.js';
import { foreignOperators } from './operators.js';
import { decodeTensor } from './stored-tensor.js';

/** A decoded model, for {@link addForeignModel}. */
export interface ForeignModel {
  /** Name of the only input that is not a stored tensor. */
  readonly input: string;
  readonly nodes: readonly StoredNode[];
  readonly tensors: ReadonlyMap<string, ConstantTensor>;
}

/** Decodes an ONNX model. @throws GraphError if it is invalid, has several inputs, or stores tensors in other files. */
export function decodeModel(bytes: Uint8Array): ForeignModel {
  let graph: ModelProto['graph'];
  try {
    graph = fromBinary(ModelProtoSchema, bytes).graph;
  } catch {
    throw new GraphError('this is not an ONNX model');
  }
  if (!graph?.node.length) throw new GraphError('this is not an ONNX model: it has no nodes');
  const tensors = new Map(graph.initializer.map((tensor) => [tensor.name, decodeTensor(tensor)] as const));
  const inputs = graph.input.map(({ name }) => name).filter((name) => !tensors.has(name));
  const [input, ...others] = inputs;
  if (input === undefined || others.length > 0) {
    throw new GraphError(
      `the model has ${inputs.length} inputs (${inputs.join(', ')}); wanted one, the image`,
    );
  }
  return { input, nodes: graph.node, tensors };
}

/** Returns the names of the values computed from the input, in the order of the nodes. */
export function valueNames(model: ForeignModel): string[] {
  const names = new Set([model.input]);
  for (const node of model.nodes) {
    const [first] = node.output;
    if (first !== undefined && node.input.some((name) => names.has(name))) names.add(first);
  }
  names.delete(model.input);
  return [...names];
}

/**
 * Adds the nodes that compute some values from the input.
 * @param image replaces the model's input.
 * @param names values, or nodes that compute them.
 * @param prefix for the names of the model's tensors in the graph.
 * @returns the values in the order of `names`.
 * @throws GraphError naming the value that does not exist, or the node whose operator is not supported.
 */
export function addForeignModel(
  graph: Graph,
  model: ForeignModel,
  image: Value,
  names: readonly string[],
  prefix: string,
): Value[] {
  const wanted = names.map((name) => resolveName(model, name));
  const tensors = new ModelTensors(graph, model, image, prefix);
  for (const node of neededNodes(model, wanted)) addForeignNode(graph, node, tensors, image);
  return wanted.map((name) => tensors.named(name));
}

/** The tensors of a model while it is added to a graph: values of the graph, and what is known before it runs. */
class ModelTensors {
  readonly #values: Map<string, Value>;
  readonly #known = new Map<string, KnownTensor>();

  constructor(
    private readonly graph: Graph,
    private readonly model: ForeignModel,
    image: Value,
    private readonly prefix: string,
  ) {
    this.#values = new Map([[model.input, image]]);
  }

  /** Returns a tensor that is stored, or follows from shapes; undefined if it is only known when the model runs. */
  known(name: string): KnownTensor | undefined {
    const known = this.#known.get(name);
    const stored = known ? undefined : this.model.tensors.get(name);
    return stored ? knownConstant(stored) : known;
  }

  /** @throws GraphError if it is not computed yet. */
  named(name: string): Value {
    const value = this.#values.get(name);
    if (value) return value;
    const known = this.#known.get(name);
    const tensor = known ? storedTensor(known, name) : this.model.tensors.get(name);
    if (!tensor) throw new GraphError(`the model uses '${name}' before it is computed`);
    const added = this.graph.constant(tensor, `${this.prefix}${name}`);
    this.#values.set(name, added);
    return added;
  }

  /** Returns the shape of a tensor. */
  shapeOf(name: string): readonly Dim[] {
    return this.known(name)?.shape ?? this.named(name).shape;
  }

  setKnown(name: string, tensor: KnownTensor): void {
    this.#known.set(name, tensor);
  }

  setValue(name: string, value: Value): void {
    this.#values.set(name, value);
  }
}

/** Adds a node, unless all that it computes is known. @throws GraphError naming the node that is not supported. */
function addForeignNode(graph: Graph, node: StoredNode, tensors: ModelTensors, image: Value): void {
  const { name, opType, input, output } = node;
  const where = `${opType} node ${name || output[0]}`;
  const attributes = new Map(node.attribute.map((attribute) => [attribute.name, attribute]));
  const foreign = new ForeignNode(
    graph,
    where,
    input,
    attributes,
    (of) => tensors.named(of),
    (of) => tensors.known(of),
    image,
    output.length,
  );
  const known = knownResult(foreign, node, tensors);
  if (known) {
    tensors.setKnown(output[0] ?? '', known);
    return;
  }
  const add = foreignOperators[opType];
  if (!add || node.domain !== '') {
    const supported = ['Constant', ...Object.keys(foreignOperators)].sort().join(', ');
    throw new GraphError(`${where}: the operator ${opType} is not supported; supported are ${supported}`);
  }
  for (const [index, value] of add(foreign).entries()) tensors.setValue(output[index] ?? '', value);
}

/** Returns what a node computes, if that is known before the model runs. */
function knownResult(
  foreign: ForeignNode,
  { opType, input }: StoredNode,
  tensors: ModelTensors,
): KnownTensor | undefined {
  if (opType === 'Constant') {
    const value = foreign.tensor('value');
    if (value) return value;
    throw foreign.refusal("the attribute 'value' is missing; other kinds of constants are not supported");
  }
  if (opType === 'Shape') {
    const sizes = tensors.shapeOf(input[0] ?? '');
    return knownSizes(sizes.slice(foreign.int('start', 0), foreign.int('end', sizes.length)));
  }
  const known = input.map((_, index) => foreign.known(index));
  if (known.some((tensor, index) => !tensor && foreign.has(index))) return undefined;
  try {
    return fold(opType, known, foreign);
  } catch (error) {
    if (error instanceof GraphError) throw foreign.refusal(error.message);
    throw error;
  }
}

function resolveName({ nodes }: ForeignModel, name: string): string {
  const computed = nodes.some(({ output }) => output.includes(name));
  if (computed) return name;
  const [first] = nodes.find((node) => node.name === name)?.output ?? [];
  if (first === undefined) throw new GraphError(`the model has no value '${name}'`);
  return first;
}

/** Returns the nodes that some values depend on, in the order of the model. */
function neededNodes({ nodes }: ForeignModel, names: readonly string[]): StoredNode[] {
  const needed = new Set(names);
  const kept: StoredNode[] = [];
  for (const node of [...nodes].reverse()) {
    if (!node.output.some((output) => needed.has(output))) continue;
    kept.push(node);
    for (const input of node.input) needed.add(input);
  }
  return kept.reverse();
}
