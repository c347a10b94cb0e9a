/** The kinds of cloners as a manifest describes them. */
import { Type } from 'typebox';
import { clonerFile } from '../detector-files.js';

export const sha256Schema = Type.String({ pattern: '^[0-9a-f]{64}$' });
export const layerSchema = Type.String({
  minLength: 1,
  description: 'Critical layer: pool1 to pool5, or a layer of an imported expert',
});

export const convolutionalClonerSchema = Type.Object(
  {
    kind: Type.Optional(Type.Literal('convolutional')),
    file: Type.String({ pattern: clonerFile }),
    sha256: sha256Schema,
    layout: Type.Array(
      Type.Object(
        {
          widths: Type.Array(Type.Integer({ minimum: 1, maximum: 4096 }), {
            minItems: 1,
            description: 'Output channels of each convolution',
          }),
          pool: Type.Boolean({ description: 'Whether the block ends with 2 x 2 max pooling' }),
          layer: Type.Optional(layerSchema),
          signed: Type.Optional(
            Type.Boolean({ description: 'Whether the layer is compared before its ReLU' }),
          ),
        },
        { title: 'Block' },
      ),
      { minItems: 1, maxItems: 32, description: 'Blocks of 3 x 3 convolutions' },
    ),
  },
  { title: 'ConvolutionalCloner' },
);

const span = Type.Object(
  {
    layer: layerSchema,
    grid: Type.Integer({ minimum: 1, maximum: 64, description: 'Cells along each side of the layer' }),
    components: Type.Integer({ minimum: 1, maximum: 4096, description: 'Directions of the good images' }),
  },
  { title: 'Span' },
);

export const linearClonerSchema = Type.Object(
  {
    kind: Type.Literal('linear'),
    file: Type.String({ pattern: clonerFile }),
    sha256: sha256Schema,
    spans: Type.Array(span, { minItems: 1, description: 'Terms of the score' }),
    windows: Type.Object(
      { layers: Type.Array(layerSchema, { minItems: 1 }) },
      { title: 'Windows', description: 'Layers whose windows are a term of the score, wherever they are' },
    ),
    cells: Type.Array(span, { description: 'Spans whose cells are part of the map' }),
    local: Type.Object(
      {
        layers: Type.Array(layerSchema, { minItems: 1, description: 'The finest first' }),
        components: Type.Integer({ minimum: 1, maximum: 4096 }),
      },
      { title: 'LocalProjection', description: 'What is compared at each position of the map' },
    ),
  },
  { title: 'LinearCloner' },
);
