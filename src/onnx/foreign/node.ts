/** A node of an imported model, with inputs and attributes in the form our operators accept. */
import type { Graph } from '../graph.js';
import { type Dim, GraphError } from '../types.js';
import type { Value } from '../value.js';
import { type KnownAttributes, type KnownTensor, numbersOf } from './known-arrays.js';
import { knownConstant } from './known-tensors.js';
import { decodeTensor, type StoredTensor } from './stored-tensor.js';

/** What is read of an attribute in an ONNX file, an `AttributeProto`. */
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

export class ForeignNode implements KnownAttributes {
  readonly op: Graph['op'];

  constructor(
    readonly graph: Graph,
    /** Names the node in messages. */
    readonly where: string,
    private readonly names: readonly string[],
    private readonly attributes: ReadonlyMap<string, StoredAttribute>,
    private readonly named: (name: string) => Value,
    private readonly knownOf: (name: string) => KnownTensor | undefined,
    /** The input of the model. */
    readonly image: Value,
    /** Number of its outputs. */
    readonly outputs: number,
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

  /** Returns an input that is known before the model runs; undefined if it is not. */
  known(index: number): KnownTensor | undefined {
    return this.has(index) ? this.knownOf(this.names[index] as string) : undefined;
  }

  /** Returns the elements of a constant input. @throws GraphError if it is not known before the model runs. */
  constantInput(index: number): number[] {
    return numbersOf(this.#known(index));
  }

  /** Returns an input as sizes, of which some may be symbols. @throws GraphError as {@link constantInput} does. */
  sizes(index: number): Dim[] {
    return Array.from(this.#known(index).data);
  }

  #known(index: number): KnownTensor {
    const known = this.known(index);
    if (known) return known;
    throw this.refusal(`input ${index} must be a constant stored in the model, or follow from shapes`);
  }

  tensor(name: string): KnownTensor | undefined {
    const stored = this.attributes.get(name)?.t;
    return stored && knownConstant(decodeTensor(stored));
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
