/** The manifest of a detector: its schema, its type, and what is said when a file does not follow it. */
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

/** The folder is no detector that can be used; the message says what is wrong. */
export class DetectorError extends Error {
  override readonly name = 'DetectorError';
}

const sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });
const layer = Type.String({
  minLength: 1,
  description: 'Critical layer: pool1 to pool5, or of an imported expert',
});
const count = Type.Integer({ minimum: 0 });

const tolerances = Type.Object({ score: Type.Number(), map: Type.Number() }, { title: 'Tolerance' });

const byLayer = (description: string) => Type.Array(Type.Number(), { description });

/** What the score is made of: weight times discrepancy less typical discrepancy, summed over the terms. */
const termsSchema = Type.Object(
  {
    value: byLayer('Weight of the value discrepancy of each scoring layer'),
    direction: byLayer('Weight of the direction discrepancy of each scoring layer'),
    typical: Type.Object(
      {
        value: byLayer('Value discrepancies'),
        direction: byLayer('Direction discrepancies'),
        peak: Type.Number({ description: 'Of the discrepancy map' }),
      },
      { title: 'TypicalDiscrepancies', description: 'What good images show' },
    ),
    neighbors: Type.Optional(
      Type.Object(
        {
          weights: byLayer('Weight of the neighbor discrepancy of each scoring layer'),
          typical: byLayer('What good images show'),
        },
        { title: 'NeighborTerms', description: 'If the nearest good image counts too' },
      ),
    ),
    map: Type.Optional(
      Type.Object(
        {
          weight: Type.Number({ description: "Of the map's largest entry in the score" }),
          layers: byLayer("Weight of each layer's position-wise discrepancy in the map"),
        },
        { title: 'MapTerms', description: 'If positions are compared too' },
      ),
    ),
  },
  { title: 'Terms' },
);

export type Terms = Static<typeof termsSchema>;

export const manifestSchema = Type.Object(
  {
    schema: Type.Literal('mkd.detector/2'),
    created: Type.String({ description: 'When it was distilled, or calibrated anew, ISO 8601' }),
    expert: Type.Object(
      {
        name: Type.String(),
        fingerprint: Type.String({
          pattern: '^[0-9a-f]{64}$',
          description: 'Of weights, input convention and rescaling',
        }),
      },
      { title: 'ExpertReference' },
    ),
    cloner: Type.Object(
      {
        file: Type.Literal('cloner.safetensors'),
        sha256,
        layout: Type.Array(
          Type.Object(
            {
              widths: Type.Array(Type.Integer({ minimum: 1, maximum: 4096 }), {
                minItems: 1,
                description: 'Output channels of each convolution',
              }),
              pool: Type.Boolean({ description: 'Whether a 2 x 2 max pooling closes the block' }),
              layer: Type.Optional(layer),
              signed: Type.Optional(
                Type.Boolean({ description: 'Whether the layer is compared before its ReLU' }),
              ),
            },
            { title: 'Block' },
          ),
          { minItems: 1, maxItems: 32, description: 'Blocks of 3 x 3 convolutions' },
        ),
      },
      { title: 'ClonerFile' },
    ),
    inputSize: Type.Integer({ minimum: 32, maximum: 1024, description: 'Side of the square input, pixels' }),
    tiling: Type.Optional(
      Type.Object(
        {
          scale: Type.Number({
            exclusiveMinimum: 0,
            maximum: 4,
            description: 'Pixels of the scaled image for a pixel of the original',
          }),
          overlap: Type.Integer({ minimum: 0, description: 'Pixels that neighboring tiles share at least' }),
        },
        {
          title: 'Tiling',
          description: 'Images are cut into tiles; without it each is scaled to one square',
        },
      ),
    ),
    trainingLayers: Type.Array(layer, { minItems: 1 }),
    scoringLayers: Type.Array(layer, { minItems: 1 }),
    lambda: Type.Number({
      description: 'Weight of the value discrepancy beside the direction discrepancy in distillation',
    }),
    terms: termsSchema,
    localization: Type.Union([
      Type.Literal('discrepancy'),
      Type.Literal('gradient'),
      Type.Literal('smoothgrad'),
      Type.Literal('guided'),
    ]),
    recipe: Type.Object(
      {
        name: Type.String(),
        notes: Type.Array(Type.String(), { description: 'Where it departs from the paper or its code' }),
        epochs: count,
        batch: count,
        learningRate: Type.Number(),
        average: Type.Boolean({
          description: 'Whether weights of epochs in the last half are averaged',
        }),
        augmentTo: Type.Integer({
          description: 'Variants were made until there were so many images to learn from',
        }),
        seed: Type.Integer(),
      },
      { title: 'Recipe' },
    ),
    data: Type.Object(
      {
        images: Type.Integer({ minimum: 1, description: 'Good images in all, each counted once' }),
        copies: Type.Optional(
          Type.Integer({ minimum: 1, description: 'Further files with the contents of one of them' }),
        ),
        heldBack: Type.Integer({
          minimum: 1,
          description: 'Of those, not trained on; with folds, not by the cloner that scored them',
        }),
        folds: Type.Optional(
          Type.Integer({
            minimum: 2,
            description:
              'Cloners that scored the images the others learned from; in the worst case the false-alarm rate is twice the one ' +
              'stated (Barber et al. 2021, CV+)',
          }),
        ),
        fingerprint: Type.String({ description: 'SHA-256 over the SHA-256 of each image' }),
      },
      { title: 'TrainingData' },
    ),
    distillation: Type.Object(
      {
        steps: count,
        seconds: Type.Number(),
        loss: Type.Number({ description: 'Mean training loss of the last epoch' }),
        heldBackLoss: Type.Number({ description: 'The same loss on the images held back' }),
      },
      { title: 'Distillation' },
    ),
    calibration: Type.Object(
      {
        scores: Type.Array(Type.Number(), {
          minItems: 1,
          description: 'Scores of good images that were not trained on, ascending',
        }),
        threshold: Type.Number({ description: 'A score above it is anomalous' }),
        falseAlarmRate: Type.Number({
          description:
            'A new good image lies above the threshold with at most this chance (conformal prediction)',
        }),
        mapThresholds: Type.Object(
          {
            discrepancy: Type.Optional(Type.Number()),
            gradient: Type.Number(),
            smoothgrad: Type.Number(),
            guided: Type.Number(),
          },
          {
            title: 'MapThresholds',
            description: 'What all but 0.2 % of the pixels of good images stay below, by localization method',
          },
        ),
        layerMapThresholds: Type.Optional(
          Type.Record(Type.String(), Type.Number(), {
            description: "The same of each scoring layer's own discrepancy map",
          }),
        ),
        directions: Type.Record(Type.String(), Type.Array(Type.Number(), { minItems: 1 }), {
          description:
            'Direction discrepancies of the same images by scoring layer, ascending: what drift is measured against',
        }),
        earlierVersions: Type.Optional(
          Type.Array(Type.String(), {
            description: 'Versions with other calibrations: their scores mean the same',
          }),
        ),
      },
      { title: 'Calibration' },
    ),
    selfTest: Type.Object(
      {
        file: Type.Literal('self-test.safetensors'),
        sha256,
        tolerance: Type.Object(
          { cpu: tolerances, cuda: tolerances },
          {
            title: 'Tolerances',
            description: 'Largest relative difference of a score, and of a map entry to the largest',
          },
        ),
      },
      { title: 'SelfTestFile' },
    ),
  },
  { title: 'Manifest' },
);

export type Manifest = Static<typeof manifestSchema>;

/** @throws DetectorError naming the entry that is wrong. */
export function parseManifest(text: string, path: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new DetectorError(`${path} is no JSON: ${(error as Error).message}`);
  }
  const schema: unknown =
    typeof value === 'object' && value !== null ? Reflect.get(value, 'schema') : undefined;
  if (schema !== 'mkd.detector/2') {
    throw new DetectorError(
      `${path} has schema '${String(schema)}'; this version reads 'mkd.detector/2': distill it again`,
    );
  }
  if (Value.Check(manifestSchema, value)) return value;
  const [first] = Value.Errors(manifestSchema, value);
  throw new DetectorError(
    `${path}: ${first?.instancePath || 'the manifest'} ${first?.message ?? 'is wrong'}`,
  );
}
