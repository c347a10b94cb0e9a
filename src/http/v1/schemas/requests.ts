/** Schemas of queries, paths and headers. */
import { Type } from 'typebox';
import { highestThreshold } from '../../../detector/index.js';
import { localizationMethodSchema } from './results.js';
import { oneOf } from './words.js';

const threshold = Type.Optional(
  Type.Number({
    minimum: -highestThreshold,
    maximum: highestThreshold,
    description: "Instead of the detector's own threshold",
  }),
);

export const newThresholdSchema = Type.Object(
  {
    threshold: Type.Number({
      minimum: -highestThreshold,
      maximum: highestThreshold,
      description: 'An image is anomalous if its score is above it',
    }),
  },
  { title: 'NewThreshold', additionalProperties: false },
);

const version = Type.String({
  minLength: 1,
  maxLength: 100,
  description: 'Version of the detector, from the list of its versions',
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
        description: 'For which images to compute the map now; for others, it is computed when it is fetched',
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
      description: 'How long the client waits. An image that has not started by then is dropped with a 504',
    }),
  ),
});

export const localizeQuerySchema = Type.Object(
  {
    as: Type.Optional(
      oneOf(['heatmap', 'overlay', 'mask', 'map', 'json'], {
        default: 'heatmap',
        description: 'heatmap, overlay and mask are PNG, map is float32 .npy; all have the size of the image',
      }),
    ),
    method: Type.Optional(localizationMethodSchema),
    threshold,
    version: otherVersion,
  },
  { additionalProperties: false },
);

export const resultQuerySchema = Type.Object(
  { method: Type.Optional(localizationMethodSchema) },
  { additionalProperties: false },
);

export const detectorParamsSchema = Type.Object({ detector: Type.String({ minLength: 1, maxLength: 200 }) });
export const resultParamsSchema = Type.Object({ id: Type.String({ minLength: 1, maxLength: 100 }) });
export const artifactParamsSchema = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 100 }),
  artifact: oneOf(['heatmap', 'overlay', 'mask', 'map']),
});

export const versionQuerySchema = Type.Object({ version: otherVersion }, { additionalProperties: false });

export const uploadQuerySchema = Type.Object(
  {
    activate: Type.Optional(
      Type.Boolean({
        default: true,
        description:
          'Whether the version becomes the current one; the first version of a detector always does',
      }),
    ),
  },
  { additionalProperties: false },
);

export const versionParamsSchema = Type.Object({
  detector: Type.String({ minLength: 1, maxLength: 200 }),
  version,
});
