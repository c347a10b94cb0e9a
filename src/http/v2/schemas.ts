/** TypeBox schemas of the Open Inference Protocol V2 messages. */
import { type Static, Type } from 'typebox';

const parameters = Type.Optional(Type.Record(Type.String(), Type.Unknown()));

const inputTensor = Type.Object(
  {
    name: Type.String(),
    shape: Type.Array(Type.Integer({ minimum: 0 })),
    datatype: Type.String(),
    parameters,
    data: Type.Optional(Type.Array(Type.Unknown(), { description: 'Flat or nested; BYTES are base64' })),
  },
  { title: 'InputTensor' },
);
export type InputTensor = Static<typeof inputTensor>;

export const inferRequestSchema = Type.Object(
  {
    id: Type.Optional(Type.String()),
    parameters,
    inputs: Type.Array(inputTensor, { minItems: 1 }),
    outputs: Type.Optional(
      Type.Array(Type.Object({ name: Type.String(), parameters }, { title: 'RequestedOutput' })),
    ),
  },
  { title: 'InferRequest' },
);
export type InferRequest = Static<typeof inferRequestSchema>;

const outputTensor = Type.Object(
  {
    name: Type.String(),
    shape: Type.Array(Type.Integer()),
    datatype: Type.String(),
    parameters: Type.Optional(
      Type.Object({ binary_data_size: Type.Integer() }, { title: 'OutputParameters' }),
    ),
    data: Type.Optional(Type.Array(Type.Union([Type.Number(), Type.Boolean(), Type.String()]))),
  },
  { title: 'OutputTensor' },
);
export type OutputTensor = Static<typeof outputTensor>;

export const inferResponseSchema = Type.Object(
  {
    id: Type.Optional(Type.String()),
    model_name: Type.String(),
    model_version: Type.String(),
    parameters: Type.Optional(
      Type.Object(
        {
          warnings: Type.String({
            description: 'What to know of the images, each line with the number of the image, from 1',
          }),
        },
        { title: 'ResponseParameters' },
      ),
    ),
    outputs: Type.Array(outputTensor),
  },
  { title: 'InferResponse' },
);
export type InferResponse = Static<typeof inferResponseSchema>;

const tensorMetadata = Type.Object(
  {
    name: Type.String(),
    datatype: Type.String(),
    shape: Type.Array(Type.Integer()),
  },
  { title: 'TensorMetadata' },
);

export const serverMetadataSchema = Type.Object(
  {
    name: Type.String(),
    version: Type.String(),
    extensions: Type.Array(Type.String()),
  },
  { title: 'ServerMetadata' },
);

export const modelMetadataSchema = Type.Object(
  {
    name: Type.String(),
    versions: Type.Array(Type.String()),
    platform: Type.String(),
    inputs: Type.Array(tensorMetadata),
    outputs: Type.Array(tensorMetadata),
  },
  { title: 'ModelMetadata' },
);

export const errorSchema = Type.Object({ error: Type.String() }, { title: 'InferenceError' });

const duration = Type.Object({ count: Type.Integer(), ns: Type.Integer() }, { title: 'Duration' });

export const statisticsSchema = Type.Object(
  {
    model_stats: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          version: Type.String(),
          last_inference: Type.Integer({
            description: 'Milliseconds since 1970; 0 before the first inference',
          }),
          inference_count: Type.Integer({ description: 'Number of images' }),
          execution_count: Type.Integer({ description: 'Number of batches' }),
          inference_stats: Type.Object(
            {
              success: duration,
              fail: duration,
              queue: duration,
              compute_input: duration,
              compute_infer: duration,
              compute_output: duration,
            },
            { title: 'InferenceStatistics' },
          ),
          batch_stats: Type.Array(
            Type.Object(
              { batch_size: Type.Integer(), compute_infer: duration },
              { title: 'BatchStatistics' },
            ),
          ),
        },
        { title: 'ModelStatistics' },
      ),
    ),
  },
  { title: 'ModelStatisticsList' },
);

/** Clients may send parameters for loading; they are ignored. */
export const loadRequestSchema = Type.Object({ parameters }, { title: 'LoadRequest' });

export const indexRequestSchema = Type.Object(
  {
    ready: Type.Optional(Type.Boolean({ description: 'Only models that are ready' })),
  },
  { title: 'IndexRequest' },
);

export const repositoryIndexSchema = Type.Array(
  Type.Object(
    {
      name: Type.String(),
      version: Type.String(),
      state: Type.String({ description: 'READY or UNAVAILABLE' }),
      reason: Type.String(),
    },
    { title: 'RepositoryEntry' },
  ),
);
