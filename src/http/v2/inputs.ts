/** The one input of a detector: encoded images as BYTES [n], or pixels as UINT8 [n, height, width, 3]. */
import { ProblemError } from '../plugins/problems.js';
import type { InferRequest, InputTensor } from './schemas.js';

/**
 * Returns the input of a request. Checked before its elements are read.
 * @throws ProblemError if it is invalid, or has too many images.
 */
export function inputOf({ inputs }: InferRequest, maxImages: number): InputTensor {
  const [input, other] = inputs;
  if (input?.name !== 'image' || other) {
    const names = inputs.map(({ name }) => `'${name}'`).join(', ');
    throw badRequest(`the model has one input, 'image'; the request has ${names}`);
  }
  const { datatype, shape } = input;
  if (datatype !== 'BYTES' && datatype !== 'UINT8') {
    throw badRequest(
      `the input 'image' is BYTES (encoded images) or UINT8 (pixels, [n, height, width, 3]), not ${datatype}`,
    );
  }
  if (datatype === 'UINT8' && (shape.length !== 4 || shape[3] !== 3 || shape.slice(1).includes(0))) {
    throw badRequest(`pixels must have the shape [n, height, width, 3], not [${shape.join(', ')}]`);
  }
  const count = datatype === 'UINT8' ? (shape[0] ?? 0) : elements(input);
  if (count >= 1 && count <= maxImages) return input;
  throw badRequest(`a request must have 1 to ${maxImages} images, not ${count}`);
}

export function elements({ shape }: InputTensor): number {
  return shape.reduce((product, size) => product * size, 1);
}

export function badRequest(detail: string): ProblemError {
  return new ProblemError('bad-request', detail);
}
