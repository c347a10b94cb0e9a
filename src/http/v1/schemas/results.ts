/** Schemas of responses with results. */
import { type Static, Type } from 'typebox';
import { localizationMethods } from '../../../detector/index.js';
import { oneOf, problemSchema } from './words.js';

const layerScore = Type.Object(
  {
    layer: Type.String({ description: 'Critical layer' }),
    value: Type.Number({
      description: 'Value discrepancy, at least 0; of a linear cloner its natural logarithm',
    }),
    direction: Type.Number({
      description: 'Direction discrepancy, 0 to 2; of a linear cloner the unexplained share, about 0 to 1',
    }),
    meaning: oneOf(['texture', 'structure'], {
      description:
        'What the layer detects: texture if it is shallower than the terms are on average, else structure',
    }),
    contribution: Type.Number({
      description:
        'Contribution to the score, minus the typical value; all contributions add up to the score',
    }),
  },
  { title: 'Layer' },
);

const timings = Type.Object(
  {
    decodeMs: Type.Number(),
    queueMs: Type.Number({ description: 'Waiting for the device' }),
    inferenceMs: Type.Number({
      description: 'Time of the batch that contained the image; for a tiled image, the sum over its tiles',
    }),
  },
  { title: 'Timings', description: 'Milliseconds' },
);

export const localizationMethodSchema = oneOf(localizationMethods, {
  description:
    "Localization method; by default the detector's own. smoothgrad computes 50 gradients: seconds per image on a CPU",
});

const point = Type.Array(Type.Number(), { minItems: 2, maxItems: 2 });

const box = Type.Object(
  { x: Type.Number(), y: Type.Number(), width: Type.Number(), height: Type.Number() },
  { title: 'Box' },
);

const region = Type.Object(
  {
    area: Type.Number({ description: 'Square pixels' }),
    peak: Type.Number({ description: 'Largest map value in the region, in multiples of the map threshold' }),
    mean: Type.Number({ description: 'Mean map value in the region, in multiples of the map threshold' }),
    box,
    polygons: Type.Array(Type.Array(Type.Array(point)), {
      description: "Outlines as GeoJSON's MultiPolygon coordinates: outer ring, then holes; [x, y]",
    }),
  },
  { title: 'Region' },
);

const links = Type.Object(
  {
    photo: Type.String({ description: 'The image as people see it' }),
    heatmap: Type.String(),
    overlay: Type.String(),
    mask: Type.String(),
    map: Type.String(),
  },
  { title: 'Links' },
);

const imageName = Type.Optional(Type.String({ description: 'File name, if the request has one' }));

export const resultSchema = Type.Object(
  {
    id: Type.String({ description: 'For GET /v1/results/{id}' }),
    name: imageName,
    width: Type.Integer({ description: 'In pixels, after EXIF orientation' }),
    height: Type.Integer(),
    score: Type.Number({
      description:
        'Anomaly score. Default recipe: in deviations of good images, 0 is typical. Paper recipe: a sum of discrepancies',
    }),
    threshold: Type.Number({ description: "The request's, or the detector's own" }),
    pValue: Type.Number({
      description: 'Probability that a good image scores at least this high: conformal, 1 / (n + 1) to 1',
    }),
    pValueIsBound: Type.Boolean({
      description: 'Whether the p-value is a bound: no good image of the calibration scored that high',
    }),
    verdict: oneOf(['good', 'anomalous'], { description: 'anomalous if the score is above the threshold' }),
    layers: Type.Array(layerScore),
    warnings: Type.Optional(
      Type.Array(Type.String(), {
        description: 'What to know of the file: it was repaired, or only a part of it is used',
      }),
    ),
    peak: Type.Optional(
      Type.Number({
        description:
          'Largest entry of the discrepancy map, in deviations of good images; only of linear cloners. It is not part of the score',
      }),
    ),
    tiles: Type.Optional(
      Type.Object(
        {
          count: Type.Integer({ description: 'Tiles the image was cut into' }),
          highest: box,
        },
        {
          title: 'Tiles',
          description: 'If images are cut into tiles; the score of the image is that of its highest tile',
        },
      ),
    ),
    localization: Type.Optional(
      Type.Object(
        {
          method: localizationMethodSchema,
          regions: Type.Array(region, {
            description: 'Where the map reaches its threshold, highest peak first, in pixels of the image',
          }),
        },
        { title: 'Localization', description: 'If a map was requested' },
      ),
    ),
    timings,
    links,
  },
  { title: 'Result' },
);
export type Result = Static<typeof resultSchema>;

const failedImage = Type.Object({ name: imageName, error: problemSchema }, { title: 'FailedImage' });

export const scoreAnswerSchema = Type.Object(
  {
    detector: Type.String(),
    version: Type.String({ description: 'Changes whenever the detector changes' }),
    results: Type.Array(Type.Union([resultSchema, failedImage]), {
      description: 'In the order of the images; an image that could not be scored has an error',
    }),
  },
  { title: 'ScoreAnswer' },
);
export type ScoreAnswer = Static<typeof scoreAnswerSchema>;

export const storedResultSchema = Type.Object(
  {
    detector: Type.String(),
    version: Type.String(),
    result: resultSchema,
  },
  { title: 'StoredResult' },
);
