// The part of docs/errors.md that is made from the catalogue of codes. What stands around the marked
// part is written by hand and left alone.

import { ERROR_CODES } from "../../errors/codes.ts";

const START = "<!-- error codes: made by `deno task docs:update` -->";
const END = "<!-- end of error codes -->";

/** The page for a repo that has none yet. */
const NEW_PAGE = `# Errors

Every error that Hookline throws for a reason outside its own code is a \`HooklineError\` with a
stable \`code\`, structured \`details\` and a \`fix\`: one line that says what to do.

${START}
${END}
`;

/** `page` with its marked part made anew; a new page when there is none. */
export function renderErrorPage(page: string = NEW_PAGE): string {
  const start = page.indexOf(START);
  const end = page.indexOf(END);
  if (start === -1 || end < start) {
    throw new Error(`docs/errors.md needs the lines ${START} and ${END}`);
  }
  return `${page.slice(0, start + START.length)}\n\n${errorTable()}\n${page.slice(end)}`;
}

function errorTable(): string {
  const rows = Object.entries(ERROR_CODES).map(([code, meaning]) => [`\`${code}\``, meaning]);
  const width = (at: number) => Math.max(...rows.map((row) => (row[at] ?? "").length));
  const line = (cells: readonly string[], fill = " ") =>
    `| ${cells.map((cell, at) => cell.padEnd(width(at), fill)).join(" | ")} |\n`;
  return line(["Code", "Meaning"]) + line(["", ""], "-") + rows.map((row) => line(row)).join("");
}
