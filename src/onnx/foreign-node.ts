/** A node of an imported model, with inputs and attributes in the form our operators accept. */
import type { Graph } from './graph.js';
import { type ConstantTensor, GraphError } from './types.js';
import type { Value } from './value.js';

/** What is read of a tensor in an ONNX file, a `TensorProto`. Its own type would bring protobuf into the public types. */
export interface StoredTensor {
  readonly name: string;
  readonly dims: readonly bigint[];
  readonly dataType: number;
  readonly dataLocation: number;
  readonly externalData: readonly unknown[];
  readonly rawData: Uint8Array;
  readonly floatData: readonly number[];
  readonly doubleData: readonly number[];
  readonly int32Data: readonly number[];
  readonly int64Data: readonly bigint[];
}

/** The same of an `AttributeProto`. */
export interface StoredAttribute {
  readonly name: string;
  readonly f: number;
  readonly i: bigint;
  readonly s: Uint8Array;
  readonly ints: readonly bigint[];
  readonly t?: StoredTensor | undefined;
}

/** The same of a `NodeProto`. */
export interface StoredNode {
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly StoredAttribute[];
}

export class ForeignNode {
  readonly op: Graph['op'];

  constructor(
    readonly graph: Graph,
    /** Names the node in messages. */
    readonly where: string,
    private readonly names: readonly string[],
    private readonly attributes: ReadonlyMap<string, StoredAttribute>,
    private readonly named: (name: string) => Value,
    private readonly constantOf: (name: string) => ConstantTensor | undefined,
  ) {
    this.op = graph.op;
  }

  get inputs(): number {
    return this.names.length;
  }

  has(index: number): boolean {
    return (this.names[index] ?? '') !== '';
  }

  input(index: number): Value {
    if (!this.has(index)) throw this.refusal(`input ${index} is missing`);
    return this.named(this.names[index] as string);
  }

  optional(index: number): Value | undefined {
    return this.has(index) ? this.input(index) : undefined;
  }

  /** Returns the elements of a constant input. @throws GraphError if the model does not store it. */
  constantInput(index: number): number[] {
    const tensor = this.constantOf(this.names[index] ?? '');
    if (!tensor) throw this.refusal(`input ${index} must be a constant stored in the model`);
    return Array.from(tensor.data as ArrayLike<number | bigint>, Number);
  }

  int(name: string, fallback: number): number {
    const attribute = this.attributes.get(name);
    return attribute ? Number(attribute.i) : fallback;
  }

  float(name: string, fallback: number): number {
    return this.attributes.get(name)?.f ?? fallback;
  }

  ints(name: string): number[] | undefined {
    return this.attributes.get(name)?.ints.map(Number);
  }

  text(name: string, fallback: string): string {
    const bytes = this.attributes.get(name)?.s;
    return bytes ? new TextDecoder().decode(bytes) : fallback;
  }

  /** Returns axes: an attribute in older opsets, an input in newer ones. */
  axes(index: number): number[] | undefined {
    return this.ints('axes') ?? (this.has(index) ? this.constantInput(index) : undefined);
  }

  refusal(why: string): GraphError {
    return new GraphError(`${this.where}: ${why}`);
  }
}
