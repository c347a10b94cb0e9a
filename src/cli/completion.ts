/** Completion of commands and options in shells, from the program itself. */
import { Argument, Command, type Option } from 'commander';
import type { Output } from './output.js';

const shells = ['bash', 'zsh', 'fish'] as const;

type Shell = (typeof shells)[number];

/** `mkd completion` */
export function completionCommand(output: Output): Command {
  const command = new Command('completion');
  return command
    .description('Print a script that completes commands and options in a shell.')
    .addArgument(new Argument('<shell>', 'the shell').choices(shells))
    .addHelpText(
      'after',
      '\nbash: mkd completion bash > ~/.local/share/bash-completion/completions/mkd\n' +
        'zsh:  mkd completion zsh > ~/.mkd-completion && echo "source ~/.mkd-completion" >> ~/.zshrc\n' +
        'fish: mkd completion fish > ~/.config/fish/completions/mkd.fish',
    )
    .action((shell: Shell) => {
      const { parent } = command;
      if (parent) output.stdout.write(scripts[shell](pathsOf(parent)));
    });
}

/** A command by its words, and what may follow it. */
interface Path {
  readonly words: readonly string[];
  readonly commands: readonly Command[];
  readonly options: readonly Option[];
}

function pathsOf(command: Command, words: readonly string[] = []): Path[] {
  const { commands, options } = command;
  return [
    { words, commands, options: options.filter(({ hidden }) => !hidden) },
    ...commands.flatMap((child) => pathsOf(child, [...words, child.name()])),
  ];
}

const flagsOf = (options: readonly Option[]): string[] => options.flatMap(({ long }) => long ?? []);

/** Returns the options with a fixed choice of values. */
function choices(paths: readonly Path[]): Map<string, readonly string[]> {
  const all = paths.flatMap(({ options }) => options);
  return new Map(
    all.flatMap(({ long, argChoices }): [string, readonly string[]][] =>
      long && argChoices ? [[long, argChoices]] : [],
    ),
  );
}

function bash(paths: readonly Path[]): string {
  const cases = paths.map(({ words, commands, options }) => {
    const names = commands.map((command) => command.name());
    return `    "${words.join(' ')}") words="${[...names, ...flagsOf(options), '--help'].join(' ')}" ;;`;
  });
  const values = [...choices(paths)].map(
    ([flag, list]) => `    ${flag}) COMPREPLY=($(compgen -W "${list.join(' ')}" -- "$current")); return ;;`,
  );
  return `# Completion of mkd for bash.
_mkd() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path="" words="" word known
  known=" ${paths
    .map(({ words }) => words.at(-1) ?? '')
    .filter(Boolean)
    .join(' ')} "
  case "$previous" in
${values.join('\n')}
  esac
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ "$known" == *" $word "* ]] && path="\${path:+$path }$word"
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ "$current" != -* && -n "$path" ]] && COMPREPLY+=($(compgen -f -- "$current"))
}
complete -o filenames -F _mkd mkd
`;
}

function zsh(paths: readonly Path[]): string {
  return `autoload -Uz bashcompinit && bashcompinit\n${bash(paths)}`;
}

function fish(paths: readonly Path[]): string {
  const quoted = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`;
  const lines = paths.flatMap(({ words, commands, options }) => {
    const last = words.at(-1);
    const when = last === undefined ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${last}`;
    return [
      ...commands.map(
        (command) =>
          `complete -c mkd -f -n ${quoted(when)} -a ${command.name()} -d ${quoted(command.description())}`,
      ),
      ...options.flatMap(({ long, description, argChoices }) =>
        long
          ? [
              `complete -c mkd -n ${quoted(when)} -l ${long.slice(2)} -d ${quoted(description)}${argChoices ? ` -x -a ${quoted(argChoices.join(' '))}` : ''}`,
            ]
          : [],
      ),
    ];
  });
  return `# Completion of mkd for fish.\n${lines.join('\n')}\n`;
}

const scripts: Readonly<Record<Shell, (paths: readonly Path[]) => string>> = { bash, zsh, fish };
