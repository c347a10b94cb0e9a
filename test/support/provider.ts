/**
 * Where graphs run in tests of numbers: on the CPU, or with `TEST_PROVIDER=cuda` on the first graphics card. What is
 * the same to the bit, or takes its time, is tested on the CPU alone.
 */
export const testProvider = process.env.TEST_PROVIDER === 'cuda' ? 'cuda' : 'cpu';
