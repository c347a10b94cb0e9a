/** float16: every value survives, and numbers in between are rounded to the nearest. */
import t from 'tap';
import { floatToHalf, halfToFloat } from '../../src/onnx/index.js';

t.test('every float16 but the payload of NaN survives the way to float32 and back', async (t) => {
  const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
  const numbers = halfToFloat(all);
  const back = floatToHalf(numbers);
  const changed = [...all].filter((bits, at) => bits !== back[at] && !Number.isNaN(numbers[at]));
  t.strictSame(changed, []);
  t.ok(Number.isNaN(halfToFloat(floatToHalf(Float32Array.of(Number.NaN)))[0]));
});

t.test('a number between two is rounded to the nearest, in the middle to the even one', async (t) => {
  for (const [number, expected] of [
    [1 + 2 ** -11, 1],
    [1 + 3 * 2 ** -11, 1 + 2 ** -9],
    [1 + 2 ** -11 + 2 ** -20, 1 + 2 ** -10],
    [65_519, 65_504],
    [65_520, Number.POSITIVE_INFINITY],
    [2 ** -25, 0],
    [2 ** -25 + 2 ** -40, 2 ** -24],
    [-3.3e-8, -(2 ** -24)],
    [1e-30, 0],
  ] as const) {
    t.equal(halfToFloat(floatToHalf(Float32Array.of(number)))[0], expected, String(number));
  }
});
