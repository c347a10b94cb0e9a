/** Schemas of responses about detectors and about the service. */
import { Type } from 'typebox';
import { inputSizeSchema, manifestSchema } from '../../../detector/index.js';
import { oneOf } from './words.js';

const provider = oneOf(['cpu', 'cuda'], {
  description: 'Where inference runs',
});

export const detectorSummarySchema = Type.Object(
  {
    name: Type.String(),
    version: Type.String({ description: 'Current version' }),
    inputSize: inputSizeSchema,
    threshold: Type.Number(),
    falseAlarmRate: Type.Number({ description: 'Share of good images above the threshold, at most' }),
    photos: Type.Integer({ description: 'Good photos that it was made from' }),
    expert: Type.String({ description: 'The network that it follows' }),
    created: Type.String({ description: 'When the current version was made, ISO 8601' }),
    versions: Type.Integer({ description: 'Number of versions' }),
    loaded: Type.Boolean({
      description: 'Whether the current version is in memory; if not, it is read on first use',
    }),
    available: Type.Boolean({
      description:
        'False after an unload (POST /v2/repository/models/{model}/unload), until it is loaded again',
    }),
    lastDay: Type.Object(
      {
        images: Type.Integer({ description: 'Images scored' }),
        anomalous: Type.Integer(),
        meanScores: Type.Array(Type.Union([Type.Number(), Type.Null()]), {
          description: 'Mean score in each of the last 24 hours, the oldest first; null without images',
        }),
      },
      { title: 'LastDay', description: 'Since the service was started, at most the last 24 hours' },
    ),
    drift: Type.Optional(
      Type.Number({
        description:
          'How far the discrepancies of the last 200 images have moved, in interquartile ranges of good images; at the layer ' +
          'that has moved most. Only after 50 images',
      }),
    ),
  },
  { title: 'Detector' },
);

export const detectorListSchema = Type.Object(
  {
    provider,
    detectors: Type.Array(detectorSummarySchema),
    refused: Type.Array(
      Type.Object({ name: Type.String(), reason: Type.String() }, { title: 'RefusedDetector' }),
      {
        description: 'Detectors, or versions of them, that failed the checks',
      },
    ),
  },
  { title: 'DetectorList' },
);

const versionStatus = Type.Object(
  {
    version: Type.String(),
    created: Type.String({ description: 'When it was distilled or recalibrated, ISO 8601' }),
    state: oneOf(['verified', 'unverified', 'refused'], {
      description:
        'Result of its self-test on this machine; unverified versions run it on first use, or when the service is idle',
    }),
    reason: Type.Optional(Type.String({ description: 'Why it is refused' })),
    current: Type.Boolean(),
    loaded: Type.Boolean(),
  },
  { title: 'Version' },
);

export const detectorInfoSchema = Type.Object(
  {
    name: Type.String(),
    version: Type.String(),
    provider,
    versions: Type.Array(versionStatus, {
      description: 'The current version first, then those that a rollback would activate',
    }),
    photosKept: Type.Integer({
      description:
        'Good photos of this version that are kept here: for adding others, and to be shown beside results',
    }),
    manifest: manifestSchema,
  },
  { title: 'DetectorInfo' },
);

export const uploadedSchema = Type.Object(
  {
    detector: Type.String(),
    version: Type.String(),
    current: Type.Boolean({ description: 'Whether it serves requests that do not name a version' }),
  },
  { title: 'UploadedVersion' },
);

export const thresholdSchema = Type.Object(
  {
    detector: Type.String(),
    version: Type.String({ description: 'The new version, which serves now' }),
    threshold: Type.Number(),
    falseAlarmRate: Type.Number({
      description:
        'Share of good images that the threshold calls anomalous, at most: from the scores of good images',
    }),
  },
  { title: 'DetectorThreshold' },
);

export const currentVersionSchema = Type.Object(
  {
    detector: Type.String(),
    version: Type.String({ description: 'Current version' }),
  },
  { title: 'CurrentVersion' },
);

export const liveSchema = Type.Object({ status: Type.Literal('live') }, { title: 'Live' });
export const readySchema = Type.Object(
  {
    status: oneOf(['ready', 'starting', 'stopping', 'failed']),
    provider: Type.Optional(provider),
    detectors: Type.Integer({ description: 'Detectors that passed their self-test' }),
  },
  { title: 'Ready' },
);
