// One call of the command line: where it writes, whether it writes JSON, and how it will end. A
// subcommand reports exactly once.

import { toJson } from "../formats/json_numbers.ts";
import type { CliConsole, Style } from "./_console.ts";
import { codedError, debugText, errorDocument, errorText } from "./_failure.ts";

/** What a subcommand found. */
export interface Report {
  /** What --json prints; NaN and infinities become strings. */
  readonly document: object;
  /** The same for people, without a line end at the end. */
  readonly text: (style: Style) => string;
  /** 1 when a difference or a failed check was found, 2 when the document holds an error; else 0. */
  readonly status?: 0 | 1 | 2;
}

/** One call of the command line. */
export class Invocation {
  /** The exit status so far. */
  status: 0 | 1 | 2 = 0;
  /** Where it writes. */
  readonly console: CliConsole;
  /** Whether standard output gets one JSON document and nothing else. */
  readonly isJson: boolean;

  /** Starts a call. */
  constructor(console: CliConsole, isJson: boolean) {
    this.console = console;
    this.isJson = isJson;
  }

  /** Prints what was found. */
  report({ document, text, status = 0 }: Report): void {
    this.status = status;
    this.console.out(
      this.isJson ? documentText(document) : `${text(this.console.outStyle)}\n`,
    );
  }

  /** Prints an error; the call ends with status 2. */
  fail(error: unknown): void {
    const coded = codedError(error);
    this.status = 2;
    if (this.isJson) this.console.out(documentText(errorDocument(coded)));
    else this.console.err(errorText(coded, this.console.errStyle));
    this.console.err(debugText(coded));
  }

  /** Tells a person who waits what happens; nobody else. */
  progress(what: string): void {
    if (this.console.isWatched) this.console.err(`${this.console.errStyle.dim(`… ${what}`)}\n`);
  }
}

function documentText(document: object): string {
  return `${JSON.stringify(toJson(document), null, 2)}\n`;
}
