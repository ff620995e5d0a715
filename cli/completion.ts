// `hookline completion SHELL`: a script for the shell that completes subcommands and options. It is made
// from the commands themselves, so it cannot fall behind them; values are left to the shell's own file
// completion.

import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import type { Invocation } from "./_invocation.ts";
import { SUBCOMMANDS } from "./_subcommands.ts";

/** What `hookline completion --json` prints. */
export interface CompletionDocument {
  /** The shell. */
  readonly shell: string;
  /** The script. */
  readonly script: string;
}

/** What stands behind `hookline`: the words of a subcommand, and what may follow them. */
interface Words {
  /** `plugin check`. */
  readonly path: readonly string[];
  /** Names of further subcommands, then options. */
  readonly next: readonly { readonly word: string; readonly summary: string }[];
}

const SHELLS: Readonly<Record<string, (words: readonly Words[]) => string>> = {
  bash: bashScript,
  fish: fishScript,
  zsh: zshScript,
};

/** The command. */
export function completionCommand(invocation: Invocation): CommandUnknownOpts {
  return new Command("completion")
    .description("Prints a script that completes this command line in bash, zsh or fish.")
    .argument("<shell>", "bash, zsh or fish")
    .option("--json", "print one JSON document on standard output and nothing else")
    .addHelpText("after", '\nFor bash, in ~/.bashrc: eval "$(hookline completion bash)"')
    .action(async (shell) => {
      const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
      if (script === undefined) throw unknownShell(shell);
      const document: CompletionDocument = { shell, script: script(await allWords(invocation)) };
      invocation.report({ document, text: () => document.script.trimEnd() });
    });
}

function unknownShell(shell: string): HooklineError {
  const shells = Object.keys(SHELLS);
  const nearest = nearestNames(shell, shells);
  return new HooklineError("CLI_USAGE", {
    message: `cannot complete in the shell "${shell.slice(0, 80)}"`,
    fix: nearest.length > 0 ? `did you mean ${nearest.join(" or ")}?` : `use ${shells.join(", ")}`,
    details: { shell: shell.slice(0, 80), nearest },
  });
}

async function allWords(invocation: Invocation): Promise<Words[]> {
  const commands = await Promise.all(SUBCOMMANDS.map(async ({ name, summary, load }) => ({
    word: name,
    summary,
    command: (await load())(invocation),
  })));
  const top: Words = { path: [], next: commands.map(({ word, summary }) => ({ word, summary })) };
  return [top, ...commands.flatMap(({ word, command }) => wordsOf(command, [word]))];
}

function wordsOf(command: CommandUnknownOpts, path: readonly string[]): Words[] {
  const options = command.options.map((option) => ({
    word: option.long ?? option.flags,
    summary: option.description,
  }));
  const next = [
    ...command.commands.map((sub) => ({ word: sub.name(), summary: sub.description() })),
    ...options,
    { word: "--help", summary: "show how it is called" },
  ];
  return [
    { path, next },
    ...command.commands.flatMap((sub) => wordsOf(sub, [...path, sub.name()])),
  ];
}

function bashScript(words: readonly Words[]): string {
  const cases = words.map(({ path, next }) =>
    `    "${path.join(" ")}") words="${next.map(({ word }) => word).join(" ")}" ;;`
  );
  return `# Completion of hookline for bash.
_hookline() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" words="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
${
    words.filter(({ path }) => path.length > 0)
      .map(({ path }) => `      "${path.join(" ")}") path="${path.join(" ")}" ;;`).join("\n")
  }
    esac
  done
  case "$path" in
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ \${#COMPREPLY[@]} -eq 0 ]; then COMPREPLY=($(compgen -f -- "$current")); fi
}
complete -o filenames -F _hookline hookline
`;
}

function zshScript(words: readonly Words[]): string {
  const cases = words.map(({ path, next }) =>
    `    "${path.join(" ")}") words=(${
      next.map(({ word, summary }) => quoted(`${word}:${summary}`)).join(" ")
    }) ;;`
  );
  return `#compdef hookline
# Completion of hookline for zsh.
_hookline() {
  local path_="" word
  local -a words_
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "\${path_:+$path_ }$word" in
${
    words.filter(({ path }) => path.length > 0)
      .map(({ path }) => `      "${path.join(" ")}") path_="${path.join(" ")}" ;;`).join("\n")
  }
    esac
  done
  case "$path_" in
${cases.map((one) => one.replace(" words=(", " words_=(")).join("\n")}
  esac
  _describe "hookline" words_ || _files
}
compdef _hookline hookline
`;
}

function fishScript(words: readonly Words[]): string {
  const lines = words.flatMap(({ path, next }) => {
    const names = words.filter((one) => one.path.length === path.length + 1)
      .filter((one) => path.every((word, index) => one.path[index] === word))
      .map((one) => one.path.at(-1) ?? "");
    const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`);
    const unseen = names.length === 0 ? [] : [`not __fish_seen_subcommand_from ${names.join(" ")}`];
    const condition = [...seen, ...unseen].join("; and ");
    return next.map(({ word, summary }) => {
      const what = word.startsWith("--") ? `-l ${word.slice(2)}` : `-f -a ${word}`;
      return `complete -c hookline -n ${quoted(condition)} ${what} -d ${quoted(summary)}`;
    });
  });
  return `# Completion of hookline for fish.\n${lines.join("\n")}\n`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
