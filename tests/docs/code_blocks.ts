// Finds the fenced code blocks of a Markdown page and the comments that stand right before them.
// Knows Markdown fences only; what a block means is decided by who asks.

/** One fenced block. */
export interface CodeBlock {
  /** The line of the opening fence, from 1. */
  readonly line: number;
  /** The first word behind the fence, lower case; empty when there is none. */
  readonly language: string;
  /** The text between the fences. */
  readonly code: string;
  /** The reason of a `<!-- not run: reason -->` right before the block. */
  readonly notRun?: string;
  /** True behind `<!-- output -->`: the block is what the block above prints. */
  readonly isOutput: boolean;
}

const FENCE = /^(\s*)(`{3,}|~{3,})\s*([^\s`]*)/;

/** Every fenced block of a page, in order. */
export function findCodeBlocks(page: string): CodeBlock[] {
  const lines = page.split("\n");
  const blocks: CodeBlock[] = [];
  let comment = "";
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? "";
    const [, indent = "", fence, language = ""] = FENCE.exec(line) ?? [];
    if (fence === undefined) {
      if (/^\s*<!--.*-->\s*$/.test(line)) comment = line.trim();
      else if (line.trim() !== "") comment = "";
      continue;
    }
    const start = at + 1;
    const closes = (text: string) => text.trim().startsWith(fence) && /^[`~]+$/.test(text.trim());
    do at++; while (at < lines.length && !closes(lines[at] ?? ""));
    if (at >= lines.length) throw new Error(`the code block at line ${start} is never closed`);
    const notRun = /^<!--\s*not run:\s*(.*?)\s*-->$/.exec(comment)?.[1];
    blocks.push({
      line: start,
      language: language.toLowerCase(),
      code: lines.slice(start, at).map((text) => text.slice(commonIndent(text, indent))).join("\n"),
      isOutput: /^<!--\s*output\s*-->$/.test(comment),
      ...(notRun === undefined ? {} : { notRun }),
    });
    comment = "";
  }
  return blocks;
}

function commonIndent(text: string, indent: string): number {
  return text.startsWith(indent) ? indent.length : 0;
}

/** One command of a shell block and what it should print. */
export interface ShellStep {
  /** The command as a shell takes it. */
  readonly command: string;
  /** The expected output; undefined when the page shows none. */
  readonly expected?: string;
  /** The expected exit status: 0, or N of a trailing `# exit N`. */
  readonly exitStatus: number;
}

/**
 * The commands of a shell block: each `$ command` line with the lines behind it as its output. A
 * block without any `$` is a list of commands, whose output is not compared.
 */
export function shellSteps(code: string): ShellStep[] {
  const lines = code.split("\n");
  if (!lines.some((line) => line.startsWith("$ "))) {
    return joinContinued(lines)
      .filter((line) => line.trim() !== "" && !line.trim().startsWith("#"))
      .map((line) => shellStep(line, []));
  }
  const steps: ShellStep[] = [];
  for (let at = 0; at < lines.length;) {
    const line = lines[at] ?? "";
    if (!line.startsWith("$ ")) {
      if (line.trim() !== "" && !line.startsWith("#")) {
        throw new Error(`output before the first command: ${line}`);
      }
      at++;
      continue;
    }
    let command = line.slice(2);
    at++;
    while (command.endsWith("\\") && at < lines.length) {
      command = `${command.slice(0, -1).trimEnd()} ${(lines[at] ?? "").replace(/^>?\s*/, "")}`;
      at++;
    }
    const from = at;
    while (at < lines.length && !(lines[at] ?? "").startsWith("$ ")) at++;
    steps.push(shellStep(command, lines.slice(from, at)));
  }
  return steps;
}

function shellStep(command: string, output: readonly string[]): ShellStep {
  const exitStatus = Number(/#\s*exit (\d+)\s*$/.exec(command)?.[1] ?? 0);
  const expected = output.join("\n").trimEnd();
  return { command: command.trim(), exitStatus, ...(expected === "" ? {} : { expected }) };
}

function joinContinued(lines: readonly string[]): string[] {
  return lines.join("\n").replaceAll(/\s*\\\n\s*/g, " ").split("\n");
}
