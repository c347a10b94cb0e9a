/** Schemas that all routes share. */
import { type Static, Type } from 'typebox';

/** Returns an enum of strings; validation errors list the allowed words. */
export function oneOf<const Words extends readonly string[]>(
  words: Words,
  options: Record<string, unknown> = {},
) {
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
  { title: 'Problem', description: 'Problem details, RFC 9457' },
);
export type Problem = Static<typeof problemSchema>;
