/**
 * Half precision for graphics cards: convolutions and what lies between them compute in float16. Inputs, outputs and
 * everything behind the expert stay float32: reductions over thousands of numbers would lose what discrepancies are made of.
 */
import { type ConstantTensor, floatToHalf, type Graph, type Node, type Value } from '../onnx/index.js';

/** What follows a convolution and gains nothing from float32. */
const followers: ReadonlySet<string> = new Set(['Add', 'Clip', 'MaxPool', 'Relu']);

/**
 * Lets the convolutions among some nodes of a graph compute in float16, and the operators that only pass their results
 * on. Every value is still there as float32; conversions that nobody needs are not encoded.
 */
export function useHalfPrecision(graph: Graph, nodes: readonly Node[]): void {
  const constants = new Map<Value, Value>();
  const toHalf = (value: Value): Value => {
    const { constant } = value;
    const half = halfBehind(value);
    if (half) return half;
    if (constant?.type !== 'float32') return graph.op.Cast(value, 'float16');
    const known = constants.get(value) ?? graph.constant(halfOf(constant));
    constants.set(value, known);
    return known;
  };
  for (const node of nodes) {
    const inputs = node.inputs.map((input) => (input?.type === 'float32' ? input : undefined));
    const isConvolution = node.operator === 'Conv' && inputs[1]?.constant !== undefined;
    const passesOn =
      followers.has(node.operator) && inputs.every((input) => !input || input.constant || halfBehind(input));
    if (!isConvolution && !passesOn) continue;
    graph.replace(node, () => {
      const halves = inputs.map((input) => input && toHalf(input));
      const output = { type: 'float16', shape: node.outputs[0]?.shape ?? [] } as const;
      const computed = graph.node(node.operator, halves, node.attributes, [output]);
      return graph.op.Cast(computed.outputs[0] as Value, 'float32');
    });
  }
}

/** Returns the float16 value that a value was converted from, if it was. */
function halfBehind({ producer }: Value): Value | undefined {
  const [source] = producer?.operator === 'Cast' ? producer.inputs : [];
  return source?.type === 'float16' ? source : undefined;
}

function halfOf({ shape, data }: Extract<ConstantTensor, { readonly type: 'float32' }>): ConstantTensor {
  return { type: 'float16', shape, data: floatToHalf(data) };
}
