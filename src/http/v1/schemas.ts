/** Everything the API says, as TypeBox: the types, the serializers and openapi.yaml come from here. */
import { type Static, Type } from 'typebox';
import { localizationMethods, manifestSchema } from '../../detector/index.js';

/** One of a few words; the message of a refusal lists them. */
function oneOf<const Words extends readonly string[]>(words: Words, options: Record<string, unknown> = {}) {
  return Type.Unsafe<Words[number]>({ type: 'string', enum: words, ...options });
}

export const problemSchema = Type.Object(
  {
    type: Type.String({ description: 'urn:mkd:problem:<kind>' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'What is wrong, and what would be right' }),
    instance: Type.Optional(Type.String({ description: 'Id of the request, as in the log' })),
  },
  { description: 'Problem details, RFC 9457' },
);
export type Problem = Static<typeof problemSchema>;

const layerScore = Type.Object({
  layer: Type.String({ description: 'Critical layer' }),
  value: Type.Number({ description: 'Value discrepancy, at least 0' }),
  direction: Type.Number({ description: 'Direction discrepancy, 0 to 2' }),
  neighbor: Type.Optional(
    Type.Number({ description: 'Discrepancy to the nearest good image, 0 to 1, where it counts' }),
  ),
  meaning: oneOf(['texture', 'structure'], {
    description: 'What the layer sees: texture at the shallower half, structure at the deeper one',
  }),
  contribution: Type.Number({
    description: 'What it adds to the score, less what is typical; all contributions add up to the score',
  }),
});

const timings = Type.Object(
  {
    decodeMs: Type.Number(),
    queueMs: Type.Number({ description: 'Waiting for the device' }),
    inferenceMs: Type.Number({
      description: 'Of the batch the image was in; where it was cut, what its tiles took together',
    }),
  },
  { description: 'Milliseconds' },
);

export const localizationMethodSchema = oneOf(localizationMethods, {
  description:
    "Localization method; the detector's own by default. smoothgrad takes fifty gradients: seconds an image on a CPU",
});

const point = Type.Array(Type.Number(), { minItems: 2, maxItems: 2 });

const box = Type.Object({ x: Type.Number(), y: Type.Number(), width: Type.Number(), height: Type.Number() });

const region = Type.Object({
  area: Type.Number({ description: 'Square pixels' }),
  peak: Type.Number({ description: 'Largest value of the map inside, in multiples of its threshold' }),
  mean: Type.Number({ description: 'Mean value of the map inside, in multiples of its threshold' }),
  box,
  polygons: Type.Array(Type.Array(Type.Array(point)), {
    description: "Outlines as GeoJSON's MultiPolygon coordinates: outer ring, then holes; [x, y]",
  }),
});

const links = Type.Object({
  heatmap: Type.String(),
  overlay: Type.String(),
  mask: Type.String(),
  map: Type.String(),
});

const imageName = Type.Optional(Type.String({ description: 'File name, where the request gave one' }));

export const resultSchema = Type.Object({
  id: Type.String({ description: 'For GET /v1/results/{id}' }),
  name: imageName,
  width: Type.Integer({ description: 'Of the image as seen, pixels' }),
  height: Type.Integer(),
  score: Type.Number({
    description:
      'Anomaly score. By the default recipe in deviations of good images, where 0 is typical; by the paper recipe a sum of discrepancies',
  }),
  threshold: Type.Number({ description: "The request's, or the detector's own" }),
  pValue: Type.Number({
    description: 'Chance that a good image scores at least this high: conformal, 1 / (n + 1) to 1',
  }),
  verdict: oneOf(['good', 'anomalous'], { description: 'anomalous above the threshold' }),
  layers: Type.Array(layerScore),
  peak: Type.Optional(
    Type.Object(
      {
        value: Type.Number({ description: 'Largest entry of the discrepancy map, at least 0' }),
        contribution: Type.Number({ description: 'What it adds to the score' }),
      },
      { description: 'Where positions are compared too' },
    ),
  ),
  tiles: Type.Optional(
    Type.Object(
      {
        count: Type.Integer({ description: 'Tiles the image was cut into' }),
        highest: box,
      },
      { description: 'Where images are cut into tiles; the image scores what its highest tile does' },
    ),
  ),
  localization: Type.Optional(
    Type.Object(
      {
        method: localizationMethodSchema,
        layer: Type.Optional(Type.String({ description: 'If the map is that of one layer' })),
        regions: Type.Array(region, {
          description: 'Where the map reaches its threshold, highest peak first, in pixels of the image',
        }),
      },
      { description: 'Where a map was asked for' },
    ),
  ),
  timings,
  links,
});
export type Result = Static<typeof resultSchema>;

const failedImage = Type.Object({ name: imageName, error: problemSchema });

export const scoreAnswerSchema = Type.Object({
  detector: Type.String(),
  version: Type.String({ description: 'Changes whenever the detector does' }),
  results: Type.Array(Type.Union([resultSchema, failedImage]), {
    description: 'In the order of the images; one that could not be scored holds an error',
  }),
});
export type ScoreAnswer = Static<typeof scoreAnswerSchema>;

export const storedResultSchema = Type.Object({
  detector: Type.String(),
  version: Type.String(),
  result: resultSchema,
});

const mapLayer = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: 200,
    description: 'The discrepancy map of this scoring layer alone',
  }),
);

const threshold = Type.Optional(
  Type.Number({ minimum: -1e9, maximum: 1e9, description: "Instead of the detector's own threshold" }),
);

const version = Type.String({
  minLength: 1,
  maxLength: 100,
  description: 'Version of the detector, which the list of its versions shows',
});
const otherVersion = Type.Optional(
  Type.String({ ...version, description: 'Instead of the current version' }),
);

export const scoreQuerySchema = Type.Object(
  {
    threshold,
    version: otherVersion,
    map: Type.Optional(
      oneOf(['never', 'anomalous', 'always'], {
        default: 'never',
        description: 'Of which images the map is computed at once; of the others when it is fetched',
      }),
    ),
  },
  { additionalProperties: false },
);

/** Headers of routes that score. */
export const deadlineHeadersSchema = Type.Object({
  'mkd-timeout-ms': Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 600_000,
      description:
        'How long the client waits: an image that has not started by then is dropped and answered 504',
    }),
  ),
});

export const localizeQuerySchema = Type.Object(
  {
    as: Type.Optional(
      oneOf(['heatmap', 'overlay', 'mask', 'map', 'json'], {
        default: 'heatmap',
        description: 'heatmap, overlay and mask are PNG, map is float32 .npy; all in the size of the image',
      }),
    ),
    method: Type.Optional(localizationMethodSchema),
    layer: mapLayer,
    threshold,
    version: otherVersion,
  },
  { additionalProperties: false },
);

export const resultQuerySchema = Type.Object(
  { method: Type.Optional(localizationMethodSchema), layer: mapLayer },
  { additionalProperties: false },
);

export const detectorParamsSchema = Type.Object({ detector: Type.String({ minLength: 1, maxLength: 200 }) });
export const resultParamsSchema = Type.Object({ id: Type.String({ minLength: 1, maxLength: 100 }) });
export const artifactParamsSchema = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 100 }),
  artifact: oneOf(['heatmap', 'overlay', 'mask', 'map']),
});

const provider = oneOf(['cpu', 'cuda'], {
  description: 'Where inference runs',
});

export const detectorSummarySchema = Type.Object({
  name: Type.String(),
  version: Type.String({ description: 'The current one' }),
  inputSize: Type.Integer(),
  threshold: Type.Number(),
  versions: Type.Integer({ description: 'How many there are' }),
  loaded: Type.Boolean({
    description: 'Whether the current version is in memory; if not it is read when used',
  }),
  available: Type.Boolean({
    description:
      'False once it was unloaded (POST /v2/repository/models/{model}/unload), until it is loaded again',
  }),
});

export const detectorListSchema = Type.Object({
  provider,
  detectors: Type.Array(detectorSummarySchema),
  refused: Type.Array(Type.Object({ name: Type.String(), reason: Type.String() }), {
    description: 'Detectors, or versions of them, that were found and not taken',
  }),
});

const versionStatus = Type.Object({
  version: Type.String(),
  created: Type.String({ description: 'When it was distilled, or calibrated anew, ISO 8601' }),
  state: oneOf(['verified', 'unverified', 'refused'], {
    description:
      'Of its self-test on this machine; what is unverified is verified when it is first used, or when the service has time',
  }),
  reason: Type.Optional(Type.String({ description: 'Why it is refused' })),
  current: Type.Boolean(),
  loaded: Type.Boolean(),
});

export const detectorInfoSchema = Type.Object({
  name: Type.String(),
  version: Type.String(),
  provider,
  versions: Type.Array(versionStatus, {
    description: 'The current one first, then those it would be rolled back to',
  }),
  manifest: manifestSchema,
});

export const versionQuerySchema = Type.Object({ version: otherVersion }, { additionalProperties: false });

export const uploadQuerySchema = Type.Object(
  {
    activate: Type.Optional(
      Type.Boolean({
        default: true,
        description: 'Whether the version becomes the current one; the first of a detector does in any case',
      }),
    ),
  },
  { additionalProperties: false },
);

export const versionParamsSchema = Type.Object({
  detector: Type.String({ minLength: 1, maxLength: 200 }),
  version,
});

export const uploadedSchema = Type.Object({
  detector: Type.String(),
  version: Type.String(),
  current: Type.Boolean({ description: 'Whether it serves requests that name no version' }),
});

export const currentVersionSchema = Type.Object({
  detector: Type.String(),
  version: Type.String({ description: 'The current one' }),
});

export const liveSchema = Type.Object({ status: Type.Literal('live') });
export const readySchema = Type.Object({
  status: oneOf(['ready', 'starting', 'stopping', 'failed']),
  provider: Type.Optional(provider),
  detectors: Type.Integer({ description: 'Detectors that passed their self-test' }),
});
