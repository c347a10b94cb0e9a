/** Charts of reports, as SVG. */
import { BarChart, LineChart } from 'echarts/charts';
import { GridComponent, LegendComponent, MarkLineComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

use([BarChart, LineChart, GridComponent, LegendComponent, MarkLineComponent, SVGRenderer]);

/** A named color for each thing that charts show. */
const colors = { good: '#12805c', defective: '#b3361b', other: '#2459d6', line: '#5b6470' } as const;

export type Tone = 'good' | 'defective' | 'other';

export interface Curve {
  readonly name: string;
  readonly tone: Tone;
  readonly points: readonly (readonly [x: number, y: number])[];
}

const size = { width: 460, height: 300 };
const text = { color: colors.line, fontSize: 12 };
const grid = { left: 54, right: 18, top: 34, bottom: 46 };

function svgOf(option: Parameters<ReturnType<typeof init>['setOption']>[0]): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, ...size });
  try {
    chart.setOption({ animation: false, textStyle: { fontFamily: 'system-ui, sans-serif' }, ...option });
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}

/** Draws curves in the unit square. */
export function unitCurves(x: string, y: string, curves: readonly Curve[]): string {
  const axis = (name: string, nameGap: number) => ({
    type: 'value' as const,
    name,
    nameLocation: 'middle' as const,
    nameGap,
    min: 0,
    max: 1,
    axisLabel: text,
    nameTextStyle: text,
  });
  return svgOf({
    grid,
    ...legend(curves.map(({ name }) => name)),
    xAxis: axis(x, 28),
    yAxis: axis(y, 36),
    series: curves.map(({ name, tone, points }) => ({
      type: 'line',
      name,
      data: points.map(([across, up]) => [across, up]),
      showSymbol: false,
      lineStyle: { width: 2, color: colors[tone] },
      itemStyle: { color: colors[tone] },
    })),
  });
}

export interface Sample {
  readonly name: string;
  readonly tone: Tone;
  readonly values: readonly number[];
}

const bins = 40;

/** Draws how often values occur, with a line at the threshold. Values far out count in the outermost bin. */
export function histogram(x: string, samples: readonly Sample[], threshold: number): string {
  const all = samples.flatMap(({ values }) => values).sort((a, b) => a - b);
  const at = (share: number): number => all[Math.round(share * (all.length - 1))] ?? 0;
  const low = Math.min(at(0), threshold);
  const high = Math.max(at(0.98), threshold + 0.25 * (threshold - low)) + Number.EPSILON;
  const width = (high - low) / bins;
  const binOf = (value: number): number => Math.min(bins - 1, Math.max(0, Math.floor((value - low) / width)));
  const beyond = at(1) > high;
  return svgOf({
    grid,
    ...legend(samples.map(({ name }) => name)),
    xAxis: {
      type: 'value',
      name: beyond ? `${x} (the last bar has all above)` : x,
      nameLocation: 'middle',
      nameGap: 28,
      min: low,
      max: high,
      axisLabel: {
        ...text,
        showMinLabel: false,
        showMaxLabel: false,
        formatter: (value: number) => Number(value.toPrecision(3)).toString(),
      },
      nameTextStyle: text,
    },
    yAxis: {
      type: 'value',
      name: 'photos',
      nameLocation: 'middle',
      nameGap: 36,
      minInterval: 1,
      axisLabel: text,
      nameTextStyle: text,
    },
    series: samples.map(({ name, tone, values }, index) => {
      const counts = new Array<number>(bins).fill(0);
      for (const value of values) counts[binOf(value)] = (counts[binOf(value)] ?? 0) + 1;
      return {
        type: 'bar' as const,
        name,
        data: counts.map((count, bin) => [low + (bin + 0.5) * width, count]),
        barWidth: Math.max(2, (size.width - grid.left - grid.right) / bins - 1),
        barGap: '-100%',
        itemStyle: { color: colors[tone], opacity: 0.65 },
        ...(index > 0
          ? {}
          : {
              markLine: {
                symbol: 'none',
                lineStyle: { color: '#16191d', type: 'dashed' as const },
                label: { formatter: `threshold ${threshold.toPrecision(3)}`, color: '#16191d', fontSize: 12 },
                data: [{ xAxis: threshold }],
              },
            }),
      };
    }),
  });
}

function legend(names: readonly string[]) {
  return names.length < 2 ? {} : { legend: { top: 2, right: 8, data: [...names], textStyle: text } };
}
