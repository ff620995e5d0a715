// Compares what a page says a command prints with what it printed. `…` stands for what may differ:
// alone on a line for any lines, inside a line for any characters. Times are never compared.

const ELAPSED = /\b\d+(?:\.\d+)?\s?(?:ns|µs|us|ms|s|min)\b/g;
const ELAPSED_FIELD = /("elapsedMs"\s*:\s*)-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/g;
/** Lines that Deno itself prints around a command. */
const DENO_CHATTER = /^(Task|Check|Download|Initialize|Installed|Resolving)\s/;

/** The text with times, trailing blanks, colours and runs of blanks evened out. */
export function evenOut(text: string): string {
  return text
    .replaceAll("\r\n", "\n")
    // deno-lint-ignore no-control-regex -- terminal colours start with a control character
    .replaceAll(/\x1b\[[0-9;]*m/g, "")
    .split("\n")
    .filter((line) => !DENO_CHATTER.test(line))
    .map((line) =>
      line.replaceAll(ELAPSED_FIELD, "$1<time>").replaceAll(ELAPSED, "<time>")
        .replaceAll(/(?<=\S)[ \t]+/g, " ").trimEnd()
    )
    .join("\n")
    .replace(/^\n+/, "")
    .trimEnd();
}

/** Whether `actual` is what `expected` describes. */
export function outputMatches(actual: string, expected: string): boolean {
  const pattern = evenOut(expected).split("\n").map((line) => {
    if (line.trim() === "…") return "(?:[^\\n]*\\n)*?";
    return line.split("…").map(escapePattern).join("[^\\n]*?") + "\\n";
  }).join("");
  return new RegExp(`^${pattern}$`).test(evenOut(actual) + "\n");
}

function escapePattern(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
