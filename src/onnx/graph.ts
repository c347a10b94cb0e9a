/**
 * A graph of ONNX operators under construction. Nodes are kept in the order they were added. This order is topological,
 * because a value must exist before it can be used.
 */
import { type Operators, operatorsOn } from './operators/index.js';
import { type Attribute, type ConstantTensor, type DataType, GraphError, type Shape } from './types.js';
import { describe, type Node, type NodeSink, type Value, type ValueInfo } from './value.js';

/** Outputs that are computed only if a condition holds; otherwise they are constants. */
export interface ConditionalOutputs {
  /** bool scalar */
  readonly condition: Value;
  readonly outputs: readonly ConditionalOutput[];
}

export interface ConditionalOutput {
  readonly name: string;
  readonly value: Value;
  /** Its value if the condition does not hold. Sizes may differ, the type may not. */
  readonly otherwise: ConstantTensor;
}

interface MutableValue extends Value {
  name: string;
  producer: Node | undefined;
}

export class Graph implements NodeSink {
  /** One function for each operator: `graph.op.Conv(...)`. */
  readonly op: Operators = operatorsOn(this);
  readonly inputs: Value[] = [];
  readonly outputs: Value[] = [];
  readonly nodes: Node[] = [];
  readonly constants: Value[] = [];
  #conditional: ConditionalOutputs | undefined;
  readonly #names = new Set<string>();
  readonly #serials = new Map<string, number>();
  readonly #sharedConstants = new Map<string, Value>();

  constructor(readonly name: string) {}

  /** Declares an input of the model. */
  input(name: string, type: DataType, shape: Shape): Value {
    const value = this.#value(name, { type, shape }, undefined, undefined);
    this.inputs.push(value);
    return value;
  }

  /** Stores a tensor in the model. @throws GraphError if its elements do not fill its shape. */
  constant(tensor: ConstantTensor, name?: string): Value {
    const count = tensor.shape.reduce((product, size) => product * size, 1);
    if (count !== tensor.data.length) {
      throw new GraphError(
        `constant ${name ?? ''}: ${tensor.data.length} elements do not fill shape [${tensor.shape.join(', ')}]`,
      );
    }
    const value = this.#value(name ?? this.#serial('constant'), tensor, undefined, tensor);
    this.constants.push(value);
    return value;
  }

  /** Returns a float32 scalar; equal scalars are stored once. */
  scalar(number: number): Value {
    return this.#shared(`scalar:${number}`, () => ({
      type: 'float32',
      shape: [],
      data: Float32Array.of(number),
    }));
  }

  /** Returns an int64 vector, for shapes and axes; equal vectors are stored once. */
  ints(numbers: readonly number[]): Value {
    return this.#shared(`ints:${numbers.join(',')}`, () => ({
      type: 'int64',
      shape: [numbers.length],
      data: BigInt64Array.from(numbers, BigInt),
    }));
  }

  /** Returns a float32 vector, for scales; equal vectors are stored once. */
  floats(numbers: readonly number[]): Value {
    return this.#shared(`floats:${numbers.join(',')}`, () => ({
      type: 'float32',
      shape: [numbers.length],
      data: Float32Array.from(numbers),
    }));
  }

  /** Makes a value an output of the model with this name. */
  output(value: Value, name: string): Value {
    this.#checkOwner(value, `output ${name}`);
    if (value.producer === undefined || this.outputs.includes(value)) {
      return this.output(this.op.Identity(value), name);
    }
    this.rename(value, name);
    this.outputs.push(value);
    return value;
  }

  /**
   * Makes values outputs of the model that are computed only if `condition` holds when the graph runs. What only they
   * need is not computed either.
   * @throws GraphError if there are such outputs already, or a constant has another type than its value.
   */
  outputIf(condition: Value, outputs: readonly ConditionalOutput[]): void {
    this.#checkOwner(condition, 'a condition');
    if (this.#conditional) throw new GraphError(`graph ${this.name} has conditional outputs already`);
    this.#conditional = {
      condition,
      outputs: outputs.map((output) => {
        this.#checkOwner(output.value, `output ${output.name}`);
        if (output.otherwise.type !== output.value.type) {
          throw new GraphError(
            `output ${output.name} is ${output.value.type}; without the condition it is ${output.otherwise.type}`,
          );
        }
        this.#reserveName(output.name);
        // A value that others need as well is computed in any case; its copy belongs to the branch.
        return { ...output, value: this.op.Identity(output.value) };
      }),
    };
  }

  get conditional(): ConditionalOutputs | undefined {
    return this.#conditional;
  }

  isFree(name: string): boolean {
    return !this.#names.has(name);
  }

  /** Renames a value; the encoded model uses the new name. */
  rename(value: Value, name: string): Value {
    this.#checkOwner(value, name);
    if (value.name === name) return value;
    this.#reserveName(name);
    this.#names.delete(value.name);
    (value as MutableValue).name = name;
    return value;
  }

  /**
   * Adds a node. The functions of {@link Operators} call this after they have inferred `outputs`.
   * @throws GraphError if an input belongs to another graph.
   */
  node(
    operator: string,
    inputs: readonly (Value | undefined)[],
    attributes: Readonly<Record<string, Attribute>>,
    outputs: readonly ValueInfo[],
  ): Node {
    const name = this.#serial(operator);
    for (const input of inputs) if (input) this.#checkOwner(input, `${operator} node ${name}`);
    const values: Value[] = [];
    const node: Node = { name, operator, inputs, outputs: values, attributes };
    for (const [index, info] of outputs.entries()) {
      values.push(this.#value(index === 0 ? name : `${name}_${index}`, info, node, undefined));
    }
    this.nodes.push(node);
    return node;
  }

  /**
   * Replaces a node with one output by others, which stand in its place; who used its output uses theirs.
   * @param build adds the nodes, of which the last one computes the value that it returns.
   * @throws GraphError if it computes another type, or not in its last node.
   */
  replace(node: Node, build: () => Value): void {
    const at = this.nodes.indexOf(node);
    const [, ...later] = this.nodes.splice(at);
    const value = build();
    const output = node.outputs[0] as MutableValue;
    const last = this.nodes.at(-1);
    if (value.producer !== last || !last || value.type !== output.type) {
      throw new GraphError(`${describe(value)} cannot replace ${describe(output)}`);
    }
    (last.outputs as Value[])[0] = output;
    output.producer = last;
    this.nodes.push(...later);
  }

  /** Adds an optional output to an existing node; later calls return the same value. */
  optionalOutput(node: Node, index: number, info: ValueInfo): Value {
    const existing = node.outputs[index];
    if (existing) return existing;
    if (node.outputs.length !== index) {
      throw new GraphError(
        `${node.operator} node ${node.name}: output ${index} was added before output ${index - 1}`,
      );
    }
    const value = this.#value(`${node.name}_${index}`, info, node, undefined);
    (node.outputs as Value[]).push(value);
    return value;
  }

  #shared(key: string, tensor: () => ConstantTensor): Value {
    const known = this.#sharedConstants.get(key);
    if (known) return known;
    const value = this.constant(tensor());
    this.#sharedConstants.set(key, value);
    return value;
  }

  #value(
    name: string,
    info: ValueInfo,
    producer: Node | undefined,
    constant: ConstantTensor | undefined,
  ): MutableValue {
    for (const dim of info.shape) {
      if (typeof dim === 'number' && (!Number.isInteger(dim) || dim < 0)) {
        throw new GraphError(`${name}: ${dim} is not a dimension; shape [${info.shape.join(', ')}]`);
      }
    }
    this.#reserveName(name);
    return { graph: this, name, type: info.type, shape: [...info.shape], producer, constant };
  }

  #reserveName(name: string): void {
    if (name === '' || this.#names.has(name)) {
      throw new GraphError(`graph ${this.name}: the name '${name}' is ${name === '' ? 'empty' : 'taken'}`);
    }
    this.#names.add(name);
  }

  #checkOwner(value: Value, user: string): void {
    if (value.graph !== this) {
      throw new GraphError(
        `${user}: value ${value.name} belongs to graph ${value.graph.name}, not ${this.name}`,
      );
    }
  }

  #serial(stem: string): string {
    let name: string;
    do {
      const serial = (this.#serials.get(stem) ?? 0) + 1;
      this.#serials.set(stem, serial);
      name = `${stem}_${serial}`;
    } while (this.#names.has(name));
    return name;
  }
}
