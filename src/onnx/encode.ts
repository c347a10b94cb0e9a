/** Encodes a graph as an ONNX model. */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { Graph } from './graph.js';
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
  const { nodes, values } = reachable(graph);
  const constants = graph.constants.filter((value) => values.has(value));
  const fixed = Object.entries(bound).map(([name, tensor]) => boundInput(graph, name, tensor));
  const model = create(ModelProtoSchema, {
    irVersion,
    producerName: 'mkd',
    opsetImport: [{ domain: '', version: BigInt(opset) }],
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
    graph: {
      name: graph.name,
      node: nodes.map(encodeNode),
      initializer: [...constants, ...fixed].map(encodeTensor),
      input: graph.inputs.filter(({ name }) => bound[name] === undefined).map(encodeInfo),
      output: graph.outputs.map(encodeInfo),
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

/** Returns the nodes that the outputs depend on, in order, and all values that these nodes use. */
function reachable(graph: Graph): { nodes: Node[]; values: Set<Value> } {
  const values = new Set<Value>(graph.outputs);
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

function encodeTensor(value: Value): MessageInitShape<typeof TensorProtoSchema> {
  const { type, shape, data } = value.constant as ConstantTensor;
  return {
    name: value.name,
    dataType: dataTypeNumbers[type],
    dims: shape.map(BigInt),
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) as Uint8Array<ArrayBuffer>,
  };
}
