/**
 * `npm run check:docs`: runs every command and snippet of README.md and docs/*.md, as a reader would from a fresh clone.
 * `-- README.md` runs one page. Comments in the pages say how, and readers do not see them:
 *
 *     <!-- check: setup ... -->      commands before the next block, for what the reader has already
 *     <!-- check: start -->          the next block starts a service; it runs until the next one starts
 *     <!-- check: node -->           the next block is a module
 *     <!-- check: python NAMES -->   the next block is Python with these packages
 *     <!-- check: file NAME -->      the next block is a file that the blocks after it use
 *     <!-- check: error -->          the service refuses what the next block asks
 *     <!-- check: skip, WHY -->      the next block is not run
 *
 * `mkd distill` gets flags that make it quick. Needs Python 3, curl and tar.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { root } from './peer.js';

const service = 'http://localhost:8080/health/ready';
const startMs = 180_000;
const quick = '--size 64 --epochs 1 --batch 8';
/** The linear recipe trains nothing. */
const quickLinear = '--size 128';

interface Block {
  readonly language: string;
  readonly code: string;
  readonly line: number;
  /** What a comment before it says; empty if there is none. */
  readonly check: string;
  readonly setup: string | undefined;
}

/** The fenced blocks of a page that are code to run, each with the comments before it. */
function blocksOf(text: string): Block[] {
  const blocks: Block[] = [];
  let check = '';
  let setup: string | undefined;
  const pattern = /<!-- check: (setup\n([\s\S]*?)|.*?)-->|^```(\w*)\n([\s\S]*?)^```$/gm;
  for (const match of text.matchAll(pattern)) {
    const [, comment, commands, language, code] = match;
    if (commands !== undefined) setup = commands;
    else if (comment !== undefined) check = comment.trim();
    else if (code !== undefined) {
      const line = text.slice(0, match.index).split('\n').length;
      if (['sh', 'ts', 'python'].includes(language ?? '')) {
        blocks.push({ language: language as string, code, line, check, setup });
      }
      check = '';
      setup = undefined;
    }
  }
  return blocks;
}

/** One shell for a page, so that variables and the folder stay from block to block. */
class Shell {
  readonly #child: ChildProcess;
  #output = '';

  constructor(folder: string) {
    this.#child = spawn('bash', ['--norc'], { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString();
      });
    }
    this.#child.stdin?.write(`set -o pipefail -o errtrace\ntrap 'failed=1' ERR\n`);
    // What takes a quarter of an hour for a reader takes seconds here.
    this.#child.stdin?.write(
      `npx() { case "$*" in "mkd distill"*paper*) quick="${quick}";; "mkd distill"*) quick="${quickLinear}";; *) quick=;; esac; command npx --no-install "$@" $quick; }\n`,
    );
  }

  /** @returns what it printed. @throws Error if a command failed. */
  async run(code: string): Promise<string> {
    this.#output = '';
    this.#child.stdin?.write(`failed=0\n${code}\nprintf '\\n::%s::%s\\n' done $failed\n`);
    for (;;) {
      const [, failed] = /::done::(\d)/.exec(this.#output) ?? [];
      if (failed === '0') return this.#output;
      if (failed !== undefined || this.#child.exitCode !== null) throw new Error(this.#output);
      await wait(50);
    }
  }

  async close(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await ended;
  }
}

/** The service of the latest `start`, which runs beside the page's shell. */
let running: ChildProcess | undefined;

async function stop(): Promise<void> {
  if (!running?.pid || running.exitCode !== null) return;
  const ended = once(running, 'exit');
  process.kill(-running.pid, 'SIGTERM');
  await ended;
  running = undefined;
}

async function start(shell: Shell, code: string): Promise<void> {
  await stop();
  const folder = (await shell.run('pwd')).trim().split('\n')[0] as string;
  running = spawn('bash', ['-c', code], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let said = '';
  for (const stream of [running.stdout, running.stderr]) stream?.on('data', (chunk) => (said += chunk));
  const until = performance.now() + startMs;
  while (performance.now() < until) {
    if (running.exitCode !== null) throw new Error(said);
    const ready = await fetch(service).catch(() => undefined);
    if (ready?.ok) return;
    await wait(200);
  }
  throw new Error(`no service after ${startMs / 1000} s: ${said}`);
}

/** An interpreter with some packages, in an environment that is kept. */
function pythonWith(packages: string): string {
  const environment = join(root, 'bench/.peers', `docs-${packages.replace(/\W+/g, '-')}`);
  const python = join(environment, 'bin/python');
  if (!existsSync(python)) {
    for (const [command, args] of [
      ['python3', ['-m', 'venv', environment]],
      [python, ['-m', 'pip', 'install', '--quiet', ...packages.split(' ')]],
    ] as const) {
      if (spawnSync(command, args, { stdio: 'inherit' }).status !== 0) throw new Error(`${command} failed`);
    }
  }
  return python;
}

async function runBlock(shell: Shell, { language, code, check, setup }: Block): Promise<string> {
  if (setup !== undefined) await shell.run(setup);
  if (check.startsWith('skip')) return `skipped${check.slice(4)}`;
  if (check === 'start') {
    await start(shell, code);
    return 'started';
  }
  const folder = (await shell.run('pwd')).trim().split('\n')[0] as string;
  if (check.startsWith('file ')) {
    await writeFile(join(folder, check.slice(5)), code);
    return `was written to ${check.slice(5)}`;
  }
  if (language === 'ts') {
    await writeFile(join(folder, 'snippet.mjs'), code);
    await shell.run('node snippet.mjs');
  } else if (language === 'python') {
    await writeFile(join(folder, 'snippet.py'), code);
    await shell.run(`${pythonWith(check.replace('python ', ''))} snippet.py`);
  } else {
    const output = await shell.run(code);
    // For curl an answer with an error is a success.
    const refused = /"status":\s*[45]\d\d|^\{"error":/m.test(output);
    if (refused !== (check === 'error')) throw new Error(output);
  }
  return check === 'error' ? 'was refused, as it says' : 'ran';
}

/** The checkout as a reader clones it: what git knows of it or would. */
async function clone(target: string): Promise<void> {
  const { stdout } = spawnSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: root });
  for (const file of stdout.toString().split('\n')) {
    if (file !== '' && existsSync(join(root, file))) cpSync(join(root, file), join(target, file));
  }
}

const named = process.argv.slice(2);
const pages =
  named.length > 0
    ? named
    : [
        'README.md',
        ...(await readdir(join(root, 'docs')))
          .filter((name) => name.endsWith('.md'))
          .map((name) => `docs/${name}`),
      ];
let failures = 0;
for (const page of pages) {
  const blocks = blocksOf(await readFile(join(root, page), 'utf8'));
  if (blocks.length === 0) continue;
  const folder = await mkdtemp(join(tmpdir(), 'mkd-docs-'));
  const checkout = join(folder, 'mkd');
  await clone(checkout);
  const shell = new Shell(checkout);
  // The README's first command installs by itself.
  if (page !== 'README.md') await shell.run('npm ci');
  for (const block of blocks) {
    const began = performance.now();
    const outcome = await runBlock(shell, block).catch((error: Error) => error);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const failed = outcome instanceof Error;
    if (failed) failures++;
    console.log(
      `${failed ? 'FAILED' : 'ok'}  ${page}:${block.line}  ${failed ? outcome.message : outcome} (${seconds} s)`,
    );
  }
  await stop();
  await shell.close();
  await rm(dirname(checkout), { recursive: true, force: true });
}
console.log(failures === 0 ? 'every command and snippet ran' : `${failures} failed`);
process.exitCode = failures === 0 ? 0 : 1;
