/**
 * Provider for numerical tests: the CPU, or the first graphics card with `TEST_PROVIDER=cuda`. Tests of bit-exact
 * results or of timing always use the CPU.
 */
export const testProvider = process.env.TEST_PROVIDER === 'cuda' ? 'cuda' : 'cpu';
