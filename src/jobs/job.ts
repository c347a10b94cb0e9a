/** A job: photos that become a detector, or are added to one. */
import { type Static, Type } from 'typebox';
import { jobStates } from './states.js';

const phases = ['read', 'expert', 'distill', 'scale', 'calibrate'] as const;

const literals = <Word extends string>(words: readonly Word[], description: string) =>
  Type.Unsafe<Word>({ type: 'string', enum: [...words], description });

/** What a detector is made with, beside its photos. */
export const jobSettingsSchema = Type.Object(
  {
    add: Type.Optional(
      Type.Boolean({
        description:
          'Add the photos to those that the current version was made from; without it the detector is made from these photos alone',
      }),
    ),
    remove: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 200 }), {
        maxItems: 20,
        description: 'Names of photos to take back from the current version; with add only',
      }),
    ),
    falseAlarmRate: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        exclusiveMaximum: 1,
        description:
          'Share of new good parts that may be called anomalous; by default 0.05, or the lowest possible',
      }),
    ),
    groupBy: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 300,
        description: 'Pattern of file names: which photos show one part, such as ^([^-]+)- for a-1.png',
      }),
    ),
    dropDoubtful: Type.Optional(
      Type.Boolean({
        description:
          'Leave out good photos that the others do not explain; with add, also those of the version before',
      }),
    ),
    fit: Type.Optional(
      literals(['stretch', 'letterbox', 'crop'], 'How a photo that is not square becomes one'),
    ),
  },
  { title: 'JobSettings', additionalProperties: false },
);

export type JobSettings = Static<typeof jobSettingsSchema>;

export const jobPhotoSchema = Type.Object(
  {
    name: Type.String({ description: 'Name of the file, as it is kept' }),
    state: literals(
      ['used', 'copy', 'unusable'],
      '`copy` has the same contents as an earlier photo; `unusable` is no image that can be read',
    ),
    reason: Type.Optional(Type.String({ description: 'Why it is unusable, or which photo it is a copy of' })),
    width: Type.Optional(Type.Integer()),
    height: Type.Optional(Type.Integer()),
    sha256: Type.Optional(Type.String()),
  },
  { title: 'JobPhoto' },
);

export type JobPhoto = Static<typeof jobPhotoSchema>;

const progressSchema = Type.Object(
  {
    phase: literals(phases, 'What is done now'),
    done: Type.Integer(),
    total: Type.Integer(),
    share: Type.Number({ description: 'Of the whole job, 0 to 1' }),
    secondsLeft: Type.Optional(Type.Number()),
  },
  { title: 'JobProgress' },
);

export type JobProgress = Static<typeof progressSchema>;

const outcomeSchema = Type.Object(
  {
    version: Type.String({ description: 'The new version, which serves' }),
    threshold: Type.Number(),
    falseAlarmRate: Type.Number({ description: 'Promised: share of new good parts, at most' }),
    images: Type.Integer({ description: 'Photos that it was made from, with those of the version before' }),
    seconds: Type.Number(),
    doubtful: Type.Array(
      Type.Object({ name: Type.String(), score: Type.Number() }, { title: 'DoubtfulPhoto' }),
      {
        description:
          'Good photos that the others do not explain, the most doubtful first: they may show a defect',
      },
    ),
  },
  { title: 'JobOutcome' },
);

export type JobOutcome = Static<typeof outcomeSchema>;

const fields = {
  id: Type.String(),
  detector: Type.String(),
  state: literals(
    jobStates,
    '`collecting` takes photos until it is started; `waiting` for its turn; done, failed and canceled jobs have ended',
  ),
  created: Type.String({ description: 'ISO 8601' }),
  ended: Type.Optional(Type.String({ description: 'ISO 8601' })),
  settings: jobSettingsSchema,
  hasRegion: Type.Boolean({ description: 'Whether a region of interest was sent' }),
  progress: Type.Optional(progressSchema),
  warnings: Type.Array(Type.String()),
  error: Type.Optional(Type.String({ description: 'Why it failed, and what would be right' })),
  outcome: Type.Optional(outcomeSchema),
};

/** What is kept of a job on disk. */
export const jobRecordSchema = Type.Object(
  { ...fields, photos: Type.Array(jobPhotoSchema) },
  { title: 'JobInfo' },
);

export type JobRecord = Static<typeof jobRecordSchema>;

/** A job without the list of its photos. */
export const jobSchema = Type.Object(
  {
    ...fields,
    photos: Type.Object(
      { used: Type.Integer(), copies: Type.Integer(), unusable: Type.Integer() },
      { title: 'JobPhotoCounts' },
    ),
  },
  { title: 'Job' },
);

export type Job = Static<typeof jobSchema>;

export const jobListSchema = Type.Object(
  { jobs: Type.Array(jobSchema, { description: 'The newest first' }) },
  { title: 'JobList' },
);

export function summaryOf({ photos, ...rest }: JobRecord): Job {
  const count = (state: JobPhoto['state']): number => photos.filter((photo) => photo.state === state).length;
  return { ...rest, photos: { used: count('used'), copies: count('copy'), unusable: count('unusable') } };
}
