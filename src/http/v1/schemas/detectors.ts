/** Schemas of answers about detectors and about the service. */
import { Type } from 'typebox';
import { manifestSchema } from '../../../detector/index.js';
import { oneOf } from './words.js';

const provider = oneOf(['cpu', 'cuda'], {
  description: 'Where inference runs',
});

export const detectorSummarySchema = Type.Object(
  {
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
        description: 'Detectors, or versions of them, that were found and not taken',
      },
    ),
  },
  { title: 'DetectorList' },
);

const versionStatus = Type.Object(
  {
    version: Type.String(),
    created: Type.String({ description: 'When it was distilled, or calibrated anew, ISO 8601' }),
    state: oneOf(['verified', 'unverified', 'refused'], {
      description:
        'Of its self-test on this machine; what is unverified is verified when it is first used, or when the service has time',
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
      description: 'The current one first, then those it would be rolled back to',
    }),
    manifest: manifestSchema,
  },
  { title: 'DetectorInfo' },
);

export const uploadedSchema = Type.Object(
  {
    detector: Type.String(),
    version: Type.String(),
    current: Type.Boolean({ description: 'Whether it serves requests that name no version' }),
  },
  { title: 'UploadedVersion' },
);

export const currentVersionSchema = Type.Object(
  {
    detector: Type.String(),
    version: Type.String({ description: 'The current one' }),
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
