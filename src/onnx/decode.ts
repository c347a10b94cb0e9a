/**
 * Adds part of an imported ONNX model to one of our graphs. The nodes are added one by one through our operators, which
 * infer all shapes again, so the input may have another size. Nodes that no requested value needs are left out.
 */
import { fromBinary } from '@bufbuild/protobuf';
import { halfToFloat } from './float16.js';
import { ForeignNode, type StoredNode, type StoredTensor } from './foreign-node.js';
import { foreignOperators } from './foreign-operators.js';
import type { Graph } from './graph.js';
import {
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  type ModelProto,
  ModelProtoSchema,
} from './schema/onnx_pb.js';
import { type ConstantTensor, GraphError } from './types.js';
import type { Value } from './value.js';

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
  const values = new Map<string, Value>([[model.input, image]]);
  const constants = new Map(model.tensors);
  const named = (name: string): Value => {
    const known = values.get(name);
    if (known) return known;
    const tensor = constants.get(name);
    if (!tensor) throw new GraphError(`the model uses '${name}' before it is computed`);
    const value = graph.constant(tensor, `${prefix}${name}`);
    values.set(name, value);
    return value;
  };
  for (const node of neededNodes(model, wanted)) {
    const { name, opType, input } = node;
    const [output = '', ...others] = node.output;
    const where = `${opType} node ${name || output}`;
    if (opType === 'Constant') {
      constants.set(output, constantOf(node, where));
      continue;
    }
    const add = foreignOperators[opType];
    if (!add || node.domain !== '') {
      const known = ['Constant', ...Object.keys(foreignOperators)].sort().join(', ');
      throw new GraphError(`${where}: the operator ${opType} is not supported; supported are ${known}`);
    }
    const attributes = new Map(node.attribute.map((attribute) => [attribute.name, attribute]));
    const [result, ...more] = add(
      new ForeignNode(graph, where, input, attributes, named, (at) => constants.get(at)),
    );
    if (result) values.set(output, result);
    for (const [index, value] of more.entries()) values.set(others[index] ?? '', value);
  }
  return wanted.map(named);
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

function constantOf(node: StoredNode, where: string): ConstantTensor {
  const tensor = node.attribute.find(({ name }) => name === 'value')?.t;
  if (!tensor)
    throw new GraphError(
      `${where}: the attribute 'value' is missing; other kinds of constants are not supported`,
    );
  return decodeTensor(tensor);
}

/** Decodes a tensor. Converts to the types our operators accept: float16 and float64 to float32, int32 to int64. */
function decodeTensor(tensor: StoredTensor): ConstantTensor {
  const { name, dataType } = tensor;
  const shape = tensor.dims.map(Number);
  if (tensor.dataLocation === DataLocation.EXTERNAL || tensor.externalData.length > 0) {
    throw new GraphError(
      `tensor '${name}' is stored in another file; export the model with its weights inside`,
    );
  }
  const raw = Uint8Array.from(tensor.rawData).buffer;
  const stored = raw.byteLength > 0;
  switch (dataType) {
    case DataType.FLOAT:
      return { type: 'float32', shape, data: new Float32Array(stored ? raw : tensor.floatData) };
    case DataType.DOUBLE: {
      const data = stored ? new Float64Array(raw) : tensor.doubleData;
      return { type: 'float32', shape, data: Float32Array.from(data) };
    }
    case DataType.INT64:
      return { type: 'int64', shape, data: new BigInt64Array(stored ? raw : tensor.int64Data) };
    case DataType.INT32: {
      const data = stored ? new Int32Array(raw) : tensor.int32Data;
      return { type: 'int64', shape, data: BigInt64Array.from(data, BigInt) };
    }
    case DataType.FLOAT16: {
      const bits = stored ? new Uint16Array(raw) : Uint16Array.from(tensor.int32Data);
      return { type: 'float32', shape, data: halfToFloat(bits) };
    }
  }
  throw new GraphError(
    `tensor '${name}' has element type ${DataType[dataType] ?? dataType}; wanted FLOAT, DOUBLE, FLOAT16, INT64 or INT32`,
  );
}
