/** The device to measure on: the CPU, or CUDA with `-- --provider cuda`. */
import { parseArgs } from 'node:util';
import type { Provider } from '../src/runtime/index.js';

const { values, positionals } = parseArgs({
  options: { provider: { type: 'string', default: 'cpu' } },
  allowPositionals: true,
});
const { provider: wanted } = values;
if (wanted !== 'cpu' && wanted !== 'cuda') throw new Error(`--provider ${wanted}: must be cpu or cuda`);

export const provider: Provider = wanted;
/** `positionals`: all other arguments. */
export { positionals };
