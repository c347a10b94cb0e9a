/**
 * Runs when this package is installed as a dependency, before onnxruntime-node's own script. On Linux x64 that script
 * downloads the CUDA libraries from NuGet, and the whole installation fails where NuGet cannot be reached. There, empty
 * files take the libraries' places: the script finds them and downloads nothing, and the CPU is used.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const nuget = 'https://api.nuget.org/v3/index.json';
const patienceMs = 5000;
const cudaLibraries = ['cuda', 'shared', 'tensorrt'].map((name) => `libonnxruntime_providers_${name}.so`);

const asDependency = fileURLToPath(import.meta.url)
  .split(sep)
  .includes('node_modules');
if (asDependency && process.platform === 'linux' && process.arch === 'x64' && !(await reaches(nuget))) {
  const entry = createRequire(import.meta.url).resolve('onnxruntime-node');
  const folder = join(dirname(entry), '..', 'bin', 'napi-v6', 'linux', 'x64');
  const missing = cudaLibraries.map((name) => join(folder, name)).filter((path) => !existsSync(path));
  await Promise.all(missing.map((path) => writeFile(path, '')));
  process.stderr.write('mkd: NuGet cannot be reached, so onnxruntime is installed without CUDA\n');
}

async function reaches(url: string): Promise<boolean> {
  const answer = await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(patienceMs) }).catch(
    () => undefined,
  );
  return answer?.ok === true;
}
