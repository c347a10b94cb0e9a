/** Where to measure: the CPU, or what `-- --provider cuda` names. */
import { parseArgs } from 'node:util';
import type { Provider } from '../src/runtime/index.js';

const { values, positionals } = parseArgs({
  options: { provider: { type: 'string', default: 'cpu' } },
  allowPositionals: true,
});
const { provider: wanted } = values;
if (wanted !== 'cpu' && wanted !== 'cuda') throw new Error(`there is no provider '${wanted}': cpu or cuda`);

export const provider: Provider = wanted;
/** `positionals`: all other arguments. */
export { positionals };
