/** Long lists of numbers in JSON are read as bytes. What JSON.parse makes of the same text is the peer. */
import t from 'tap';
import { takeNumberLists } from '../../src/http/v2/number-lists.js';

/** Parses a text, with its long lists put back, flat. */
function parsed(text: string): { readonly value: unknown; readonly lists: number } {
  const { json, lists } = takeNumberLists(Buffer.from(text));
  const value: unknown = JSON.parse(json, (_key, entry: unknown) => {
    const list = typeof entry === 'string' ? lists.get(entry) : undefined;
    return list ? [...list] : entry;
  });
  return { value, lists: lists.size };
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, at) => (at * 7919) % 256);

t.test('long lists come out as JSON.parse reads them, wherever they are', async (t) => {
  const pretty = JSON.stringify({ data: numbers(3000) }, null, 2);
  const two = JSON.stringify({ inputs: [{ data: numbers(5000) }, { shape: [1, 2], data: numbers(4000) }] });
  const tricky = JSON.stringify({ '[1,': 'a "quote" \\', b: '\\"[[1,2', data: numbers(4000), c: [0, 'x'] });
  for (const [text, lists] of [
    [pretty, 1],
    [two, 2],
    [tricky, 1],
  ] as const) {
    t.strictSame(parsed(text), { value: JSON.parse(text), lists });
  }
  const nested = JSON.stringify({ data: [[numbers(3000), numbers(3)], [numbers(2000)]] });
  t.strictSame(parsed(nested), {
    value: { data: [...numbers(3000), ...numbers(3), ...numbers(2000)] },
    lists: 1,
  });
});

t.test('short lists, strings and other values stay in the text', async (t) => {
  for (const text of ['[]', '[1,2.5,"a"]', '{"data":["[1,1", null, true]}', '"[1', '[1,2', '']) {
    const { json, lists } = takeNumberLists(Buffer.from(text));
    t.equal(json, text);
    t.equal(lists.size, 0);
  }
});

t.test('what is no whole number from 0 to 255 is named', async (t) => {
  for (const wrong of ['256', '-1', '0.5', '1e2', '007', 'null', '"a"', '1 2']) {
    const text = `{"data":[${numbers(3000).join()},${wrong},3]}`;
    t.throws(() => takeNumberLists(Buffer.from(text)), {
      kind: 'bad-request',
      message: new RegExp(`whole numbers from 0 to 255 .*not ${wrong}`),
    });
  }
  t.throws(() => takeNumberLists(Buffer.from(`[${numbers(3000).join()},,3]`)), /not ','/);
});

t.test('values that would fill the memory are refused', async (t) => {
  for (const text of ['["",', '{"a":', '[0.5,', '[[1],']) {
    t.throws(() => takeNumberLists(Buffer.from(text.repeat(1_100_000))), /more than 1000000 values/);
  }
});
