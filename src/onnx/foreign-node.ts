/** A node of a model that others made, with its inputs and attributes as our operators take them. */
import type { Graph } from './graph.js';
import type { AttributeProto } from './schema/onnx_pb.js';
import { type ConstantTensor, GraphError } from './types.js';
import type { Value } from './value.js';

export class ForeignNode {
  readonly op: Graph['op'];

  constructor(
    readonly graph: Graph,
    /** For messages. */
    readonly where: string,
    private readonly names: readonly string[],
    private readonly attributes: ReadonlyMap<string, AttributeProto>,
    private readonly named: (name: string) => Value,
    private readonly storedAs: (name: string) => ConstantTensor | undefined,
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

  /** The numbers of an input that the model stores. */
  stored(index: number): number[] {
    const tensor = this.storedAs(this.names[index] ?? '');
    if (!tensor) throw this.refusal(`input ${index} must be stored in the model`);
    return Array.from(tensor.data as ArrayLike<number | bigint>, Number);
  }

  int(name: string, otherwise: number): number {
    const attribute = this.attributes.get(name);
    return attribute ? Number(attribute.i) : otherwise;
  }

  float(name: string, otherwise: number): number {
    return this.attributes.get(name)?.f ?? otherwise;
  }

  ints(name: string): number[] | undefined {
    return this.attributes.get(name)?.ints.map(Number);
  }

  text(name: string, otherwise: string): string {
    const bytes = this.attributes.get(name)?.s;
    return bytes ? new TextDecoder().decode(bytes) : otherwise;
  }

  /** Axes, which newer models give as an input and older ones as an attribute. */
  axes(index: number): number[] | undefined {
    return this.ints('axes') ?? (this.has(index) ? this.stored(index) : undefined);
  }

  refusal(why: string): GraphError {
    return new GraphError(`${this.where}: ${why}`);
  }
}
