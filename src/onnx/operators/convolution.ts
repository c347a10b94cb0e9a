/** Convolution and its transpose. */
import { sameShape, windowSize } from '../shapes.js';
import type { Dim } from '../types.js';
import { describe, type NodeSink, type Value } from '../value.js';
import { addNode, checkFloat, imageDims, int, ints, refusal } from './checks.js';

export interface ConvAttributes {
  readonly strides?: readonly [number, number];
  /** top, left, bottom, right. */
  readonly pads?: readonly [number, number, number, number];
  readonly dilations?: readonly [number, number];
  readonly group?: number;
}

export interface ConvTransposeAttributes extends ConvAttributes {
  readonly output_padding?: readonly [number, number];
}

const defaults = { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 } as const;

/** Returns the attributes that both have, in the order of the specification. */
function windowAttributes(
  kernel: readonly [height: number, width: number],
  { strides, pads, dilations, group }: Required<ConvAttributes>,
) {
  return {
    kernel_shape: ints(kernel),
    strides: ints(strides),
    pads: ints(pads),
    dilations: ints(dilations),
    group: int(group),
  };
}

export function convolutionOperators(graph: NodeSink) {
  return {
    /** Two-dimensional convolution: x [N, Cin, H, W], w [Cout, Cin/group, kH, kW], b [Cout]. */
    Conv(x: Value, w: Value, b?: Value, attributes: ConvAttributes = {}): Value {
      checkFloat('Conv', x, w, ...(b ? [b] : []));
      const settings = { ...defaults, ...attributes };
      const { strides, pads, dilations, group } = settings;
      const [batch, channels, height, width] = imageDims('Conv', x);
      const [out, inPerGroup, kernelHeight, kernelWidth] = imageDims('Conv', w) as [
        number,
        number,
        number,
        number,
      ];
      if (channels !== inPerGroup * group || out % group !== 0 || (b && !sameShape(b.shape, [out]))) {
        const bias = b ? `, ${describe(b)}` : '';
        throw refusal('Conv', `${describe(x)}, ${describe(w)}${bias} in ${group} group(s)`);
      }
      const rows = windowSize(height, kernelHeight, strides[0], pads[0], pads[2], dilations[0]);
      const columns = windowSize(width, kernelWidth, strides[1], pads[1], pads[3], dilations[1]);
      if (rows < 1 || columns < 1) {
        throw refusal('Conv', `${describe(x)} is smaller than the kernel ${describe(w)}`);
      }
      const set = windowAttributes([kernelHeight, kernelWidth], settings);
      return addNode(graph, 'Conv', [x, w, b], set, { type: x.type, shape: [batch, out, rows, columns] });
    },

    /** Transposed convolution: x [N, Cin, H, W], w [Cin, Cout/group, kH, kW]. */
    ConvTranspose(x: Value, w: Value, attributes: ConvTransposeAttributes = {}): Value {
      checkFloat('ConvTranspose', x, w);
      const settings = { ...defaults, ...attributes };
      const { strides, pads, dilations, group } = settings;
      const { output_padding = [0, 0] } = attributes;
      const [batch, channels, height, width] = imageDims('ConvTranspose', x);
      const [into, outPerGroup, kernelHeight, kernelWidth] = imageDims('ConvTranspose', w);
      if (channels !== into || channels % group !== 0) {
        throw refusal('ConvTranspose', `${describe(x)} and ${describe(w)} in ${group} group(s)`);
      }
      const grow = (size: number, kernel: number, axis: 0 | 1): number =>
        (size - 1) * strides[axis] +
        output_padding[axis] +
        dilations[axis] * (kernel - 1) +
        1 -
        pads[axis] -
        pads[(axis + 2) as 2 | 3];
      const shape: Dim[] = [
        batch,
        outPerGroup * group,
        grow(height, kernelHeight, 0),
        grow(width, kernelWidth, 1),
      ];
      const set = {
        ...windowAttributes([kernelHeight, kernelWidth], settings),
        output_padding: ints(output_padding),
      };
      return addNode(graph, 'ConvTranspose', [x, w], set, { type: x.type, shape });
    },
  };
}
