/** Operators that work element by element. */
import { broadcast } from '../shapes.js';
import type { DataType } from '../types.js';
import { describe, type NodeSink, type Value } from '../value.js';
import { addNode, checkFloat, float, int, refusal } from './checks.js';

/** Numbers of the element types in TensorProto.DataType, for Cast. */
export const dataTypeNumbers: Readonly<Record<DataType, number>> = {
  float32: 1,
  uint8: 2,
  int64: 7,
  bool: 9,
  float16: 10,
};

export function elementwiseOperators(graph: NodeSink) {
  const unary =
    (operator: string) =>
    (x: Value): Value => {
      checkFloat(operator, x);
      return addNode(graph, operator, [x], {}, { type: x.type, shape: x.shape });
    };
  const binary =
    (operator: string, result?: DataType) =>
    (a: Value, b: Value): Value => {
      const shape = broadcast(a.shape, b.shape);
      if (!shape || a.type !== b.type)
        throw refusal(operator, `${describe(a)} and ${describe(b)} differ in shape or type`);
      if (a.type === 'bool' || a.type === 'uint8') {
        throw refusal(operator, `does not support ${a.type}: ${describe(a)}`);
      }
      return addNode(graph, operator, [a, b], {}, { type: result ?? a.type, shape });
    };
  return {
    Add: binary('Add'),
    Sub: binary('Sub'),
    Mul: binary('Mul'),
    Div: binary('Div'),
    /** The larger of two, element by element. */
    Max: binary('Max'),
    /** The smaller of two, element by element. */
    Min: binary('Min'),
    Equal: binary('Equal', 'bool'),
    Greater: binary('Greater', 'bool'),

    Neg: unary('Neg'),
    Abs: unary('Abs'),
    Sign: unary('Sign'),
    Sqrt: unary('Sqrt'),
    Exp: unary('Exp'),
    /** The natural logarithm. */
    Log: unary('Log'),
    Reciprocal: unary('Reciprocal'),
    Relu: unary('Relu'),
    /** 1 / (1 + exp(-x)) */
    Sigmoid: unary('Sigmoid'),
    Tanh: unary('Tanh'),
    /** The error function, of which GELU is made. */
    Erf: unary('Erf'),

    /** `a` where the condition holds, `b` elsewhere. */
    Where(condition: Value, a: Value, b: Value): Value {
      const values = broadcast(a.shape, b.shape);
      const shape = values && broadcast(condition.shape, values);
      if (!shape || condition.type !== 'bool' || a.type !== b.type) {
        throw refusal('Where', `${describe(condition)}, ${describe(a)} and ${describe(b)} do not fit`);
      }
      return addNode(graph, 'Where', [condition, a, b], {}, { type: a.type, shape });
    },

    /** x between two bounds. One operator, which the runtime joins with a convolution before it; Relu and Min it does not. */
    Clip(x: Value, low: number, high: number): Value {
      checkFloat('Clip', x);
      const bounds = [graph.scalar(low), graph.scalar(high)];
      return addNode(graph, 'Clip', [x, ...bounds], {}, { type: x.type, shape: x.shape });
    },

    /** alpha x + beta, clipped to 0..1. */
    HardSigmoid(x: Value, { alpha, beta }: { readonly alpha: number; readonly beta: number }): Value {
      checkFloat('HardSigmoid', x);
      const attributes = { alpha: float(alpha), beta: float(beta) };
      return addNode(graph, 'HardSigmoid', [x], attributes, { type: x.type, shape: x.shape });
    },

    Identity(x: Value): Value {
      return addNode(graph, 'Identity', [x], {}, { type: x.type, shape: x.shape });
    },

    Cast(x: Value, to: DataType): Value {
      return addNode(graph, 'Cast', [x], { to: int(dataTypeNumbers[to]) }, { type: to, shape: x.shape });
    },
  };
}
