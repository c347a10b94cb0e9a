/** Encodes a graph as an ONNX model. */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { ConditionalOutputs, Graph } from './graph.js';
import { dataTypeNumbers, opset } from './operators/index.js';
import {
  type AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  ModelProtoSchema,
  type NodeProtoSchema,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from './schema/onnx_pb.js';
import { type Attribute, type ConstantTensor, GraphError } from './types.js';
import type { Node, Value } from './value.js';

/** ONNX IR version for opset 18. */
const irVersion = 8n;

/**
 * Encodes a model. Nodes and constants that no output needs are left out.
 * @param bound tensors that replace inputs, by the name of the input.
 * @param metadata what else a reader of the file should know, by name.
 * @throws GraphError if the graph has no output, or a tensor does not fit its input.
 */
export function encodeModel(
  graph: Graph,
  bound: Readonly<Record<string, ConstantTensor>> = {},
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  if (graph.outputs.length === 0) throw new GraphError(`graph ${graph.name} has no output`);
  const { conditional } = graph;
  const { nodes, values } = reachable(graph, [
    ...graph.outputs,
    ...(conditional ? [conditional.condition] : []),
  ]);
  const branch = conditional && branchOf(graph, conditional, new Set(nodes));
  for (const value of branch?.values ?? []) values.add(value);
  const constants = graph.constants.filter((value) => values.has(value));
  const fixed = Object.entries(bound).map(([name, tensor]) => boundInput(graph, name, tensor));
  const model = create(ModelProtoSchema, {
    irVersion,
    producerName: 'mkd',
    opsetImport: [{ domain: '', version: BigInt(opset) }],
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
    graph: {
      name: graph.name,
      node: [...nodes.map(encodeNode), ...(branch ? [branch.node] : [])],
      initializer: [...constants, ...fixed].map(({ name, constant }) =>
        encodeTensor(name, constant as ConstantTensor),
      ),
      input: graph.inputs.filter(({ name }) => bound[name] === undefined).map(encodeInfo),
      output: [...graph.outputs.map(encodeInfo), ...(branch?.outputs ?? [])],
    },
  });
  return toBinary(ModelProtoSchema, model);
}

/** Returns an input as a constant. */
function boundInput(graph: Graph, name: string, tensor: ConstantTensor): Value {
  const input = graph.inputs.find((value) => value.name === name);
  if (!input) throw new GraphError(`graph ${graph.name} has no input '${name}'`);
  const { type, shape } = input;
  const fits =
    shape.length === tensor.shape.length &&
    shape.every((dim, at) => typeof dim === 'string' || dim === tensor.shape[at]);
  if (type !== tensor.type || !fits) {
    throw new GraphError(
      `input '${name}' is ${type} [${shape.join(', ')}]; the tensor is ${tensor.type} [${tensor.shape.join(', ')}]`,
    );
  }
  return { ...input, shape: tensor.shape, constant: tensor };
}

/** An `If` node: one branch has the nodes that only the conditional outputs need, the other has constants. */
interface Branch {
  readonly node: MessageInitShape<typeof NodeProtoSchema>;
  readonly outputs: readonly MessageInitShape<typeof ValueInfoProtoSchema>[];
  readonly values: ReadonlySet<Value>;
}

/** @param outside nodes that are computed in any case. */
function branchOf(
  graph: Graph,
  { condition, outputs }: ConditionalOutputs,
  outside: ReadonlySet<Node>,
): Branch {
  const inside = reachable(
    graph,
    outputs.map(({ value }) => value),
  );
  // Branches may return tensors of other sizes than each other, so only their types are given.
  const typed = (name: string, { type }: ConstantTensor | Value) => ({
    name,
    type: { value: { case: 'tensorType' as const, value: { elemType: dataTypeNumbers[type] } } },
  });
  const elseName = (name: string, part: string): string => `${name}/otherwise/${part}`;
  const branches = {
    then_branch: {
      name: 'then',
      node: inside.nodes.filter((node) => !outside.has(node)).map(encodeNode),
      output: outputs.map(({ value }) => typed(value.name, value)),
    },
    else_branch: {
      name: 'otherwise',
      initializer: outputs.map(({ name, otherwise }) => encodeTensor(elseName(name, 'constant'), otherwise)),
      node: outputs.map(({ name }) => ({
        opType: 'Identity',
        input: [elseName(name, 'constant')],
        output: [elseName(name, 'value')],
      })),
      output: outputs.map(({ name, otherwise }) => typed(elseName(name, 'value'), otherwise)),
    },
  };
  return {
    node: {
      name: 'If',
      opType: 'If',
      input: [condition.name],
      output: outputs.map(({ name }) => name),
      attribute: Object.entries(branches).map(([name, g]) => ({ name, type: AttributeType.GRAPH, g })),
    },
    outputs: outputs.map(({ name, value }) => typed(name, value)),
    values: inside.values,
  };
}

/** Returns the nodes that some values depend on, in order, and all values that these nodes use. */
function reachable(graph: Graph, wanted: readonly Value[]): { nodes: Node[]; values: Set<Value> } {
  const values = new Set<Value>(wanted);
  const nodes: Node[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((output) => values.has(output))) continue;
    nodes.push(node);
    for (const input of node.inputs) if (input) values.add(input);
  }
  return { nodes: nodes.reverse(), values };
}

function encodeNode(node: Node): MessageInitShape<typeof NodeProtoSchema> {
  return {
    name: node.name,
    opType: node.operator,
    input: withoutTrailingGaps(node.inputs.map((value) => value?.name ?? '')),
    output: node.outputs.map((value) => value.name),
    attribute: Object.entries(node.attributes).map(([name, attribute]) => encodeAttribute(name, attribute)),
  };
}

function withoutTrailingGaps(names: string[]): string[] {
  while (names.at(-1) === '') names.pop();
  return names;
}

function encodeAttribute(name: string, attribute: Attribute): MessageInitShape<typeof AttributeProtoSchema> {
  switch (attribute.kind) {
    case 'int':
      return { name, type: AttributeType.INT, i: BigInt(attribute.value) };
    case 'ints':
      return { name, type: AttributeType.INTS, ints: attribute.value.map(BigInt) };
    case 'float':
      return { name, type: AttributeType.FLOAT, f: attribute.value };
    case 'string':
      return { name, type: AttributeType.STRING, s: new TextEncoder().encode(attribute.value) };
  }
}

function encodeInfo({ name, type, shape }: Value): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = shape.map((size) =>
    typeof size === 'number'
      ? { value: { case: 'dimValue' as const, value: BigInt(size) } }
      : { value: { case: 'dimParam' as const, value: size } },
  );
  const tensorType = { elemType: dataTypeNumbers[type], shape: { dim } };
  return { name, type: { value: { case: 'tensorType', value: tensorType } } };
}

function encodeTensor(
  name: string,
  { type, shape, data }: ConstantTensor,
): MessageInitShape<typeof TensorProtoSchema> {
  return {
    name,
    dataType: dataTypeNumbers[type],
    dims: shape.map(BigInt),
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) as Uint8Array<ArrayBuffer>,
  };
}
