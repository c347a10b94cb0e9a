/** Where to measure: the CPU, or what `-- --provider cuda` names. */
import { parseArgs } from 'node:util';

const { values, positionals: others } = parseArgs({
  options: { provider: { type: 'string', default: 'cpu' } },
  allowPositionals: true,
});
const { provider: wanted } = values;
if (wanted !== 'cpu' && wanted !== 'cuda') throw new Error(`there is no provider '${wanted}': cpu or cuda`);

export const provider: 'cpu' | 'cuda' = wanted;
/** All other arguments. */
export const positionals: readonly string[] = others;
