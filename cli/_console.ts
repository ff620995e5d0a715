// The two streams of the command line. Writing is synchronous, so that nothing is lost when the process
// ends; a reader that has gone (`| head`) is no error. It knows no subcommand.

import { writeSync } from "node:fs";
import { isatty } from "node:tty";
import { styleText } from "node:util";
import { isColorRefused, readEnvironment } from "./_environment.ts";

/** How text may be set off; without colours each gives its text unchanged. */
export interface Style {
  /** What a line is about. */
  bold(text: string): string;
  /** What can be passed over. */
  dim(text: string): string;
  /** Good news. */
  green(text: string): string;
  /** Something to look at. */
  yellow(text: string): string;
  /** Bad news. */
  red(text: string): string;
}

/** Where the command line writes. */
export interface CliConsole {
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** How to set text off on standard output. */
  readonly outStyle: Style;
  /** How to set text off on standard error. */
  readonly errStyle: Style;
  /** True when a person watches standard error. */
  readonly isWatched: boolean;
}

const OUT = 1;
const ERR = 2;

/** The console of this process. */
export function processConsole(): CliConsole {
  const outStream = new Stream(OUT);
  const errStream = new Stream(ERR);
  return {
    out: (text) => outStream.write(text),
    err: (text) => errStream.write(text),
    outStyle: styleOf(hasColors(OUT)),
    errStyle: styleOf(hasColors(ERR)),
    isWatched: isatty(ERR),
  };
}

/** Text set off, or left alone. */
export function styleOf(isColored: boolean): Style {
  const as = (format: "bold" | "dim" | "green" | "yellow" | "red") => (text: string): string =>
    isColored ? styleText(format, text, { validateStream: false }) : text;
  return {
    bold: as("bold"),
    dim: as("dim"),
    green: as("green"),
    yellow: as("yellow"),
    red: as("red"),
  };
}

function hasColors(descriptor: number): boolean {
  if (isColorRefused()) return false;
  const forced = readEnvironment("FORCE_COLOR");
  if (forced !== undefined) return forced !== "0" && forced !== "false";
  return readEnvironment("CLICOLOR_FORCE") !== undefined || isatty(descriptor);
}

/** Control and direction characters, colours, tabs and line ends apart. */
const CONTROL =
  // deno-lint-ignore no-control-regex
  /[\u0000-\u0008\u000b-\u001a\u001c-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]|\u001b(?!\[[0-9;]*m)/g;

/**
 * Names come from model files: one that moves the cursor or turns the writing round must not rewrite what
 * a person reads. Written as JSON writes them, so that documents stay what they are.
 */
function withoutControl(text: string): string {
  return text.replaceAll(
    CONTROL,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

class Stream {
  readonly #descriptor: number;
  #isBroken = false;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  write(text: string): void {
    const bytes = new TextEncoder().encode(withoutControl(text));
    let done = 0;
    while (done < bytes.length && !this.#isBroken) {
      try {
        done += writeSync(this.#descriptor, bytes, done);
      } catch (error) {
        const code = (error as { code?: string }).code;
        const name = (error as Error).name;
        if (code === "EAGAIN" || name === "WouldBlock") waitALittle();
        else if (code === "EPIPE" || name === "BrokenPipe") this.#isBroken = true;
        else throw error;
      }
    }
  }
}

/** A pipe that takes nothing just now is tried again. */
function waitALittle(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
}
