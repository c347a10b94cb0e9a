/** The manifest of a detector: its schema, its type, and what is said when a file does not follow it. */
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

/** The folder is no detector that can be used; the message says what is wrong. */
export class DetectorError extends Error {
  override readonly name = 'DetectorError';
}

const sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });
const layer = Type.String({ pattern: '^pool[1-5]$' });
const count = Type.Integer({ minimum: 0 });

const tolerances = Type.Object({ score: Type.Number(), map: Type.Number() });

export const manifestSchema = Type.Object({
  schema: Type.Literal('mkd.detector/1'),
  created: Type.String({ description: 'When it was distilled, ISO 8601' }),
  expert: Type.Object({
    name: Type.String(),
    fingerprint: Type.String({
      pattern: '^[0-9a-f]{64}$',
      description: 'Of weights, input convention and rescaling',
    }),
  }),
  cloner: Type.Object({
    file: Type.Literal('cloner.safetensors'),
    sha256,
    layout: Type.Array(Type.Array(Type.Integer({ minimum: 1 }), { minItems: 1 }), {
      minItems: 1,
      maxItems: 5,
      description: 'Output channels of each convolution, block by block',
    }),
  }),
  inputSize: Type.Integer({ minimum: 32, maximum: 1024, description: 'Side of the square input, pixels' }),
  trainingLayers: Type.Array(layer, { minItems: 1 }),
  scoringLayers: Type.Array(layer, { minItems: 1 }),
  lambda: Type.Number({ description: 'Weight of the value discrepancy beside the direction discrepancy' }),
  localization: Type.Union([Type.Literal('gradient'), Type.Literal('smoothgrad'), Type.Literal('guided')]),
  recipe: Type.Object({
    name: Type.String(),
    notes: Type.Array(Type.String(), { description: 'Where it departs from the paper or its code' }),
    epochs: count,
    batch: count,
    learningRate: Type.Number(),
    seed: Type.Integer(),
  }),
  data: Type.Object({
    images: Type.Integer({ minimum: 1, description: 'Good images in all' }),
    heldBack: Type.Integer({ minimum: 1, description: 'Of those, not trained on' }),
    fingerprint: Type.String({ description: 'SHA-256 over the contents of all image files' }),
  }),
  distillation: Type.Object({
    steps: count,
    seconds: Type.Number(),
    loss: Type.Number({ description: 'Mean training loss of the last epoch' }),
    heldBackLoss: Type.Number({ description: 'The same loss on the images held back' }),
  }),
  calibration: Type.Object({
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
      { gradient: Type.Number(), smoothgrad: Type.Number(), guided: Type.Number() },
      { description: 'What all but 0.2 % of the pixels of good images stay below, by localization method' },
    ),
    earlierVersions: Type.Optional(
      Type.Array(Type.String(), {
        description: 'Versions with other calibrations: their scores mean the same',
      }),
    ),
  }),
  selfTest: Type.Object({
    file: Type.Literal('self-test.safetensors'),
    sha256,
    tolerance: Type.Object(
      { cpu: tolerances, cuda: tolerances },
      { description: 'Largest relative difference of a score, and of a map entry to the largest' },
    ),
  }),
});

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
  if (schema !== 'mkd.detector/1') {
    throw new DetectorError(`${path} has schema '${String(schema)}'; this version reads 'mkd.detector/1'`);
  }
  if (Value.Check(manifestSchema, value)) return value;
  const [first] = Value.Errors(manifestSchema, value);
  throw new DetectorError(
    `${path}: ${first?.instancePath || 'the manifest'} ${first?.message ?? 'is wrong'}`,
  );
}
