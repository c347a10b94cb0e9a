/** A real Prometheus: it scrapes a service under load, and is asked every query of every panel and rule. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { freePort } from '../../test/support/free-port.js';
import { root } from '../peer.js';
import { Running, run } from './tools.js';

const docker = join(root, 'docker');

/** Checks the configuration, the rules, and their unit tests. */
export function checkRules(): string {
  run('promtool', ['check', 'rules', 'alerts.yml'], docker);
  run('promtool', ['check', 'config', '--syntax-only', 'prometheus.yml'], docker);
  run('promtool', ['test', 'rules', 'alerts.test.yml'], docker);
  return 'rules, configuration and unit tests of the rules';
}

/** @param targets host:port of a service, which gets requests meanwhile, and of a worker. */
export async function checkQueries(
  targets: { readonly service: string; readonly worker: string },
  folder: string,
): Promise<string> {
  const config = (await readFile(join(docker, 'prometheus.yml'), 'utf8'))
    .replace('scrape_interval: 5s', 'scrape_interval: 1s')
    .replace('rule_files: [alerts.yml]', `rule_files: ['${join(docker, 'alerts.yml')}']`)
    .replace(/dns_sd_configs: .*\[mkd\].*/, `static_configs: [{ targets: ['${targets.service}'] }]`)
    .replace(/dns_sd_configs: .*\[mkd-worker\].*/, `static_configs: [{ targets: ['${targets.worker}'] }]`);
  const file = join(folder, 'prometheus.yml');
  await writeFile(file, config);
  const port = await freePort();
  const server = new Running('prometheus', [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(folder, 'prometheus')}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ]);
  try {
    const address = `http://127.0.0.1:${port}`;
    await server.until(`${address}/-/ready`);
    // Rates need several scrapes.
    await wait(15_000);
    const queries = [...(await panelQueries()), ...(await ruleQueries(address))];
    const empty: string[] = [];
    for (const query of queries) if (!(await hasData(address, query))) empty.push(query);
    if (empty.length > 0) throw new Error(`these queries return nothing: ${empty.join('; ')}`);
    return `${queries.length} queries of panels and rules return data`;
  } finally {
    await server.stop();
  }
}

interface Panel {
  readonly targets?: readonly { readonly expr: string }[];
  readonly panels?: readonly Panel[];
}

async function panelQueries(): Promise<string[]> {
  const folder = join(docker, 'grafana/dashboards');
  const files = (await readdir(folder)).filter((name) => name.endsWith('.json'));
  const texts = await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')));
  const queriesOf = ({ targets = [], panels = [] }: Panel): string[] => [
    // The choice of all.
    ...targets.map(({ expr }) => expr.replaceAll('$detector', '.*')),
    ...panels.flatMap(queriesOf),
  ];
  return texts.flatMap((text) => queriesOf(JSON.parse(text) as Panel));
}

/** Returns what the rules compare, without the comparison: an alert that does not fire returns nothing. */
async function ruleQueries(address: string): Promise<string[]> {
  const { data } = (await (await fetch(`${address}/api/v1/rules`)).json()) as {
    data: { groups: { rules: { query: string; health: string; lastError?: string; name: string }[] }[] };
  };
  const rules = data.groups.flatMap((group) => group.rules);
  for (const { name, health, lastError } of rules) {
    if (health === 'err') throw new Error(`the rule ${name} cannot be evaluated: ${lastError}`);
  }
  return rules.flatMap(({ query }) =>
    query.split(/\n?\s+and\s+/).map((side) => side.replace(/\s*(==|>|<|>=|<=)\s*[\d.]+\s*$/, '')),
  );
}

async function hasData(address: string, query: string): Promise<boolean> {
  const response = await fetch(`${address}/api/v1/query?query=${encodeURIComponent(query)}`);
  const { status, data, error } = (await response.json()) as {
    status: string;
    error?: string;
    data?: { result: unknown[] };
  };
  if (status !== 'success') throw new Error(`${query}: ${error}`);
  return (data?.result.length ?? 0) > 0;
}
