/** Schemas of requests about jobs; those of jobs themselves are where jobs are. */
import { Type } from 'typebox';
import { jobSettingsSchema } from '../../../jobs/index.js';

export { jobListSchema, jobRecordSchema } from '../../../jobs/index.js';

export const jobParamsSchema = Type.Object({
  job: Type.String({ minLength: 1, maxLength: 100, description: 'Id of the job' }),
});

export const distillationQuerySchema = Type.Object(
  {
    ...jobSettingsSchema.properties,
    start: Type.Optional(
      Type.Boolean({ default: true, description: 'False to send more photos first, and start the job then' }),
    ),
  },
  { additionalProperties: false },
);

const binary = { type: 'string', format: 'binary' } as const;

export const photosBody = {
  title: 'Photos',
  type: 'object',
  properties: {
    photo: { type: 'array', items: binary, minItems: 1, description: 'Photos of good parts' },
    region: { ...binary, description: 'Region of interest: a mask, or polygons as JSON' },
  },
} as const;
