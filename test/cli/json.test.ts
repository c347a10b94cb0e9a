/** Every command that prints a result prints it as one JSON object, if it is asked to; and nothing else on stdout. */
import { join } from 'node:path';
import t from 'tap';
import { runMkd } from '../support/run-mkd.js';

/** Runs a command with `--json`, and returns what it prints. */
async function json(...args: readonly string[]) {
  const { code, out, err } = await runMkd(...args, '--json');
  if (code !== 0) throw new Error(err);
  t.equal(out.split('\n').length, 2, `${args[0]} prints one line`);
  return JSON.parse(out) as unknown;
}

t.test('from photos to an exported graph', async (t) => {
  const folder = t.testdir();
  const [data, detector, onnx] = ['data', 'detector', 'graph.onnx'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const cpu = ['--provider', 'cpu'];
  t.match(await json('sample', data, '--train', '9', '--good', '3', '--defective', '1'), {
    folder: data,
    images: 17,
  });
  const good = join(data, 'train/good');
  const made = (await json('distill', good, '--out', detector, '--size', '64', ...cpu)) as {
    warnings: string[];
  };
  t.notOk(
    made.warnings.some((warning) => warning.includes('any orientation')),
    'the parts are aligned',
  );
  t.match(made, {
    detector,
    version: /^[0-9a-f]{12}$/,
    recipe: 'linear',
    images: 9,
    threshold: Number,
    falseAlarmRate: 0.1,
    photos: `${detector}.photos.tar`,
    report: `${detector}.report.html`,
    warnings: Array,
    doubtful: Array,
  });
  t.match(await json('verify', detector, ...cpu), { provider: 'cpu', images: 3, scoreDifference: Number });
  t.match(await json('calibrate', detector, '--threshold', '20', ...cpu), {
    after: { threshold: 20 },
    version: /^[0-9a-f]{12}$/,
  });
  t.match(await json('evaluate', detector, data, ...cpu), {
    images: { good: 3, defective: 5 },
    imageAuroc: Number,
  });
  const outputs = ['--outputs', 'score', '--onnx', onnx];
  t.match(await json('export', detector, ...outputs), {
    onnx: { file: onnx, width: 64, outputs: ['score'] },
  });
  t.match(await json('score', detector, join(good, '001.png'), ...cpu), { score: Number });
});

t.test('keys', async (t) => {
  const file = join(t.testdir(), 'keys.json');
  const { key, ...added } = (await json('keys', 'add', file, 'line')) as { key: string };
  t.match([key.length > 20, added], [true, { name: 'line', scopes: ['score'] }]);
  t.strictSame(await json('keys', 'list', file), { keys: [{ name: 'line', scopes: ['score'] }] });
  t.strictSame(await json('keys', 'remove', file, 'line'), { removed: 'line' });
});
