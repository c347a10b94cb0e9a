/**
 * Products of large matrices, by onnxruntime: a fit consists of little else. A product is float32; whoever adds several
 * of them adds in float64.
 */
import { encodeModel, Graph, type Value } from '../../onnx/index.js';
import { type Device, float32, float32Data, type Session, type Tensor } from '../../runtime/index.js';

/** A matrix of this many rows, one after another. */
export interface Rows {
  readonly count: number;
  readonly data: Float32Array;
}

/** What is summed over: the columns of both matrices, or the rows of both. */
type Over = 'columns' | 'rows';

function productModel(over: Over): Uint8Array {
  const graph = new Graph(`product-over-${over}`);
  const { op } = graph;
  const [a, b] = ['a', 'b'].map((name) =>
    graph.input(
      name,
      'float32',
      over === 'columns' ? [`rows of ${name}`, 'columns'] : ['rows', `columns of ${name}`],
    ),
  ) as [Value, Value];
  const turned = (value: Value): Value => op.Transpose(value, [1, 0]);
  graph.output(over === 'columns' ? op.MatMul(a, turned(b)) : op.MatMul(turned(a), b), 'product');
  return encodeModel(graph);
}

export class Products {
  private constructor(
    private readonly overColumns: Session,
    private readonly overRows: Session,
  ) {}

  static async open(device: Device): Promise<Products> {
    return new Products(
      await device.session(productModel('columns')),
      await device.session(productModel('rows')),
    );
  }

  /** Returns a b', one entry for each pair of rows. */
  ofRows(a: Rows, b: Rows): Promise<Float32Array> {
    return product(this.overColumns, a, b);
  }

  /** Returns a' b, one entry for each pair of columns. */
  ofColumns(a: Rows, b: Rows): Promise<Float32Array> {
    return product(this.overRows, a, b);
  }

  async close(): Promise<void> {
    await this.overColumns.close();
    await this.overRows.close();
  }
}

async function product(session: Session, a: Rows, b: Rows): Promise<Float32Array> {
  const [first, second] = [a, b].map(({ count, data }) => float32([count, data.length / count], data));
  const { outputs } = await session.run({ a: first as Tensor, b: second as Tensor });
  return float32Data(outputs, 'product');
}
