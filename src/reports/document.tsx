/** The frame of a report: one file that is opened from disk, and loads nothing. */
import type { ComponentChildren } from 'preact';
import { render } from 'preact-render-to-string';

const style = `
:root{color-scheme:light dark;--back:#f5f6f7;--panel:#fff;--line:#e2e5e9;--ink:#16191d;--soft:#5b6470;--good:#12805c;--bad:#b3361b}
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1100px;width:100%;margin:0 auto;padding:28px 24px 60px;display:grid;gap:18px}
h1{font-size:24px;margin:0}h2{font-size:17px;margin:0}h3{font-size:14px;margin:0;color:var(--soft)}p{margin:0}
.soft{color:var(--soft)}.panel{background:var(--panel);color:#16191d;border:1px solid var(--line);border-radius:10px;padding:16px;display:grid;gap:12px;overflow-x:auto}
.panel{--soft:#5b6470;--line:#e2e5e9}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(160px,1fr));gap:12px}.cards .panel{gap:2px}.big{font-size:26px;font-weight:680}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));gap:12px}.charts svg{width:100%;height:auto;max-width:560px}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(420px,100%),1fr));gap:18px}.columns>div{display:grid;gap:18px;align-content:start;min-width:0}
table{border-collapse:collapse;width:100%}th,td{padding:6px 12px 6px 0;text-align:left;border-bottom:1px solid var(--line)}
th.n,td.n{text-align:right}th button{all:unset;cursor:pointer;font-weight:600}th button:focus-visible{outline:2px solid #2459d6}
th[aria-sort=ascending] button::after{content:' \\25B2'}th[aria-sort=descending] button::after{content:' \\25BC'}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:14px}figure{margin:0;display:grid;gap:4px}
figure div{display:grid;grid-auto-flow:column;grid-auto-columns:1fr;gap:3px}figure img{width:100%;border-radius:5px;display:block;background:#1b1e23}
figcaption{font-size:13px;overflow-wrap:anywhere}.good{color:var(--good);font-weight:600}.anomalous{color:var(--bad);font-weight:600}.path{overflow-wrap:anywhere}td:first-child{white-space:nowrap}
@media(prefers-color-scheme:dark){:root{--back:#0f1114;--ink:#eceff3;--soft:#a5aeba;--line:#2a2f37}}
@media print{body{background:#fff}.panel{break-inside:avoid}}
`;

/** Sorts a table by the column whose heading is pressed: by numbers where there are some. */
const script = `
for (const button of document.querySelectorAll('th button')) button.addEventListener('click', () => {
  const th = button.closest('th'), body = th.closest('table').tBodies[0], at = th.cellIndex;
  const down = th.getAttribute('aria-sort') !== 'descending';
  for (const other of th.parentElement.cells) other.removeAttribute('aria-sort');
  th.setAttribute('aria-sort', down ? 'descending' : 'ascending');
  const key = (row) => row.cells[at].dataset.value ?? row.cells[at].textContent;
  const order = (a, b) => { const [x, y] = [key(a), key(b)]; return isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y; };
  body.append(...[...body.rows].sort((a, b) => (down ? -1 : 1) * order(a, b)));
});
`;

/** Returns the file. Everything in it is text, except the pictures that {@link Svg} takes. */
export function documentOf(title: string, content: ComponentChildren): string {
  const page = (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
        />
        <title>{title}</title>
        <style dangerouslySetInnerHTML={{ __html: style }} />
      </head>
      <body>
        <main>{content}</main>
        <script dangerouslySetInnerHTML={{ __html: script }} />
      </body>
    </html>
  );
  return `<!doctype html>\n${render(page)}\n`;
}

/** A chart. @param svg as the chart library wrote it; it escapes texts. */
export function Svg({ title, svg }: { readonly title: string; readonly svg: string }) {
  return (
    <section class="panel">
      <h3>{title}</h3>
      <div role="img" aria-label={title} dangerouslySetInnerHTML={{ __html: svg }} />
    </section>
  );
}

export function Card({
  title,
  value,
  note,
}: {
  readonly title: string;
  readonly value: string;
  readonly note?: string;
}) {
  return (
    <section class="panel">
      <h3>{title}</h3>
      <div class="big">{value}</div>
      {note && <p class="soft">{note}</p>}
    </section>
  );
}

export interface Column<Row> {
  readonly title: string;
  /** What is shown. */
  readonly text: (row: Row) => string;
  /** What it is sorted by, if that is a number. */
  readonly value?: (row: Row) => number;
  /** Class of the cell. */
  readonly tone?: (row: Row) => string;
}

export function Table<Row>({
  title,
  rows,
  columns,
}: {
  readonly title: string;
  readonly rows: readonly Row[];
  readonly columns: readonly Column<Row>[];
}) {
  return (
    <section class="panel">
      <h2>{title}</h2>
      <table>
        <thead>
          <tr>
            {columns.map(({ title, value }) => (
              <th key={title} scope="col" class={value ? 'n' : undefined}>
                <button type="button">{title}</button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>
              {columns.map(({ title, text, value, tone }) => (
                <td
                  key={title}
                  class={value ? 'n' : (tone?.(row) ?? 'path')}
                  data-value={value ? String(value(row)) : undefined}
                >
                  {text(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
