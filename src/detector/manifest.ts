/** The manifest of a detector: its schema, its type, and parsing. */
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import {
  convolutionalClonerSchema,
  layerSchema,
  linearClonerSchema,
  sha256Schema,
} from './cloners/schemas.js';
import { highestThreshold } from './conformal.js';
import { DetectorError } from './detector-error.js';
import { selfTestFile } from './detector-files.js';

const count = Type.Integer({ minimum: 0 });

const tolerances = Type.Object({ score: Type.Number(), map: Type.Number() }, { title: 'Tolerance' });

const byLayer = (description: string) => Type.Array(Type.Number(), { description });

/** The score is the sum over these terms of weight times (discrepancy minus typical discrepancy). */
const termsSchema = Type.Object(
  {
    value: byLayer('Weight of the value discrepancy of each scoring layer'),
    direction: byLayer('Weight of the direction discrepancy of each scoring layer'),
    typical: Type.Object(
      {
        value: byLayer('Value discrepancy of each scoring layer'),
        direction: byLayer('Direction discrepancy of each scoring layer'),
      },
      { title: 'TypicalDiscrepancies', description: 'Typical discrepancies of good images' },
    ),
  },
  { title: 'Terms' },
);

export type Terms = Static<typeof termsSchema>;

const side = Type.Integer({ minimum: 32, maximum: 1024 });

/** Size of the input, pixels: the side of a square, or width and height. */
export const inputSizeSchema = Type.Union(
  [side, Type.Object({ width: side, height: side }, { title: 'RectangularInput' })],
  { description: 'Size of the input, pixels: the side of a square, or width and height' },
);

export const manifestSchema = Type.Object(
  {
    schema: Type.Literal('mkd.detector/2'),
    created: Type.String({ description: 'Time of distillation or of the last calibration, ISO 8601' }),
    expert: Type.Object(
      {
        name: Type.String(),
        fingerprint: Type.String({
          pattern: '^[0-9a-f]{64}$',
          description: 'Hash of weights, input convention and rescaling',
        }),
      },
      { title: 'ExpertReference' },
    ),
    cloner: Type.Union([convolutionalClonerSchema, linearClonerSchema]),
    inputSize: inputSizeSchema,
    range: Type.Optional(
      Type.Object(
        {
          low: Type.Number({ description: 'Becomes black' }),
          high: Type.Number({ description: 'Becomes white' }),
        },
        { title: 'ValueRange', description: 'Values of images with more than 8 bits per sample' },
      ),
    ),
    fit: Type.Optional(
      Type.Union([Type.Literal('letterbox'), Type.Literal('crop')], {
        description:
          'How a whole image becomes a square: between bars, or its middle; by default it is stretched',
      }),
    ),
    regionOfInterest: Type.Optional(
      Type.Object(
        { share: Type.Number({ minimum: 0, maximum: 1, description: 'Share of the image that is inside' }) },
        { title: 'RegionOfInterest', description: 'Present if only a part of the image counts' },
      ),
    ),
    tiling: Type.Optional(
      Type.Object(
        {
          scale: Type.Number({
            exclusiveMinimum: 0,
            maximum: 4,
            description: 'Pixels of the scaled image per pixel of the original',
          }),
          overlap: Type.Integer({ minimum: 0, description: 'Minimum overlap of neighboring tiles, pixels' }),
        },
        {
          title: 'Tiling',
          description: 'Present if images are cut into tiles; otherwise each is scaled to one square',
        },
      ),
    ),
    trainingLayers: Type.Array(layerSchema, { minItems: 1 }),
    scoringLayers: Type.Array(layerSchema, { minItems: 1 }),
    lambda: Type.Optional(
      Type.Number({
        description: 'Weight of the value discrepancy relative to the direction discrepancy in distillation',
      }),
    ),
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
        notes: Type.Array(Type.String(), { description: 'Differences from the paper or its code' }),
        epochs: Type.Optional(count),
        batch: Type.Optional(count),
        learningRate: Type.Optional(Type.Number()),
        average: Type.Optional(
          Type.Boolean({ description: 'Whether weights are averaged over the last half of the epochs' }),
        ),
        seed: Type.Optional(Type.Integer()),
      },
      { title: 'Recipe' },
    ),
    data: Type.Object(
      {
        images: Type.Integer({ minimum: 1, description: 'Number of good images, without duplicates' }),
        copies: Type.Optional(
          Type.Integer({ minimum: 1, description: 'Number of duplicate files, which are not used' }),
        ),
        heldBack: Type.Integer({
          minimum: 1,
          description:
            'Images not used for training; with folds, not by the cloner that scored them; all of them for a linear cloner, which ' +
            'scores each by all others',
        }),
        folds: Type.Optional(
          Type.Integer({
            minimum: 2,
            description:
              'Number of folds, each scored by a cloner that was trained on the others; in the worst case the false-alarm rate is ' +
              'twice the stated one (Barber et al. 2021, CV+)',
          }),
        ),
        parts: Type.Optional(
          Type.Integer({ minimum: 1, description: 'Parts that the images show, if several show the same' }),
        ),
        fingerprint: Type.String({ description: 'SHA-256 over the SHA-256 of each image' }),
      },
      { title: 'TrainingData' },
    ),
    distillation: Type.Object(
      {
        seconds: Type.Number(),
        steps: Type.Optional(count),
        loss: Type.Optional(Type.Number({ description: 'Mean training loss of the last epoch' })),
        heldBackLoss: Type.Optional(Type.Number({ description: 'The same loss on the images held back' })),
      },
      { title: 'Distillation' },
    ),
    calibration: Type.Object(
      {
        scores: Type.Array(Type.Number(), {
          minItems: 1,
          description: 'Scores of good images that were not used for training, ascending',
        }),
        threshold: Type.Number({
          minimum: -highestThreshold,
          maximum: highestThreshold,
          description: 'Scores above it are anomalous',
        }),
        falseAlarmRate: Type.Number({
          description:
            'Largest probability that a new good image scores above the threshold (conformal prediction)',
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
            description: 'Value that 99.8 % of the pixels of good images stay below, by localization method',
          },
        ),
        directions: Type.Record(Type.String(), Type.Array(Type.Number(), { minItems: 1 }), {
          description:
            'Direction discrepancies of the same images by scoring layer, ascending; the reference for drift',
        }),
        earlierVersions: Type.Optional(
          Type.Array(Type.String(), {
            description: 'Versions with earlier calibrations; their scores are comparable',
          }),
        ),
      },
      { title: 'Calibration' },
    ),
    selfTest: Type.Object(
      {
        file: Type.String({ pattern: selfTestFile }),
        sha256: sha256Schema,
        tolerance: Type.Object(
          { cpu: tolerances, cuda: tolerances },
          {
            title: 'Tolerances',
            description: 'Allowed difference of scores and of map entries, relative to the largest one',
          },
        ),
      },
      { title: 'SelfTestFile' },
    ),
  },
  { title: 'Manifest' },
);

export type Manifest = Static<typeof manifestSchema>;

/** Parses a manifest. @throws DetectorError naming the invalid entry. */
export function parseManifest(text: string, path: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new DetectorError(`${path} is not JSON: ${(error as Error).message}`);
  }
  const schema: unknown =
    typeof value === 'object' && value !== null ? Reflect.get(value, 'schema') : undefined;
  if (schema !== 'mkd.detector/2') {
    throw new DetectorError(
      `${path} has schema '${String(schema)}'; this version reads only 'mkd.detector/2'; distill the detector again`,
    );
  }
  if (hasTermsOfFormerRecipe(value as FormerManifest)) {
    throw new DetectorError(
      `${path} is of the recipe 'convolutional', which this version no longer has; distill the detector again from its photos, by 'mkd distill PHOTOS --out DETECTOR'`,
    );
  }
  if (Value.Check(manifestSchema, value)) return value;
  const [first] = Value.Errors(manifestSchema, value);
  throw new DetectorError(
    `${path}: ${first?.instancePath || 'the manifest'} ${first?.message ?? 'is invalid'}`,
  );
}

/** What tells a detector of the recipe 'convolutional': a trained cloner whose score has more terms than the paper's. */
interface FormerManifest {
  readonly cloner?: { readonly layout?: unknown };
  readonly terms?: { readonly neighbors?: unknown; readonly map?: unknown };
}

function hasTermsOfFormerRecipe({ cloner, terms }: FormerManifest): boolean {
  return cloner?.layout !== undefined && (terms?.neighbors !== undefined || terms?.map !== undefined);
}
