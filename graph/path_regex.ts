// Regular expressions over dotted module paths, read as Python's `re.search` reads them where the two
// languages differ: users bring FASTVIDEO_TRACE_LAYERS along. It knows no module.
//
// A backtracking engine cannot be stopped from outside. So a pattern is bounded in length, and the one
// shape that hangs on ordinary paths, a repeated group of nothing but repetitions as in `(\w+)+`, is
// refused. Several `.*` in a row still cost time that grows with a power of the path's length.

import type { HooklineError } from "../errors/hookline_error.ts";
import { patternError } from "./path_glob.ts";

const FLAGS = /^[imsu]*$/;
const SYNTAX_LETTERS = /^[\^$\\.*+?()[\]{}|/]$/;
const CLASS_LETTERS = /^[\^$\\.*+?()[\]{}|/-]$/;
const WORD = /^\w$/;

/**
 * Compiles `/expression/flags`; the flags are `i`, `m`, `s` and `u`. Python spellings that JavaScript
 * lacks are translated: `(?P<name>…)`, `(?P=name)`, `(?i)` at the start, `\A`, `\Z`, `{,n}`, and
 * letters escaped without need. `\d` and `\w` are ASCII, as they are in JavaScript.
 *
 * @throws {HooklineError} SELECTOR_SYNTAX with the position.
 */
export function parsePathRegex(pattern: string): RegExp {
  const end = pattern.lastIndexOf("/");
  const flags = pattern.slice(end + 1);
  if (end === 0) {
    throw patternError(
      pattern,
      0,
      "the regular expression is not closed",
      'write /expression/, or a path with dots: "encoder.layer.0"',
    );
  }
  if (!FLAGS.test(flags) || new Set(flags).size !== flags.length) {
    throw patternError(
      pattern,
      end + 1,
      `"${flags.slice(0, 40)}" are no flags`,
      'use the flags i, m, s and u; paths are written with dots: "encoder.layer.0"',
    );
  }
  const translation = new Translator(pattern, end).translate();
  const allFlags = [...new Set(`${flags}${translation.flags}u`)].join("");
  try {
    return new RegExp(translation.source, allFlags);
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw patternError(
      pattern,
      1,
      `the expression is not valid (${text.slice(text.lastIndexOf(": ") + 2)})`,
      "correct the expression; it is read as Python's re.search reads it",
    );
  }
}

interface Quantifier {
  readonly isUnbounded: boolean;
  /** True for a fixed count that is high enough to matter when what it repeats is open. */
  readonly isLongCount: boolean;
  readonly isOptional: boolean;
}

const ONCE: Quantifier = { isUnbounded: false, isLongCount: false, isOptional: false };
const COUNT_MAX = 9;

/** What is known of a group, or of the whole expression, up to the scanner. */
interface Frame {
  readonly position: number;
  /** False for look-around, which takes no letters. */
  readonly takesLetters: boolean;
  /** In this alternative: something repeats without bound. */
  repeats: boolean;
  /** In this alternative: something must stand exactly as often as written. */
  isAnchored: boolean;
  /** In an alternative before: repetition and nothing else. */
  isLoose: boolean;
}

class Translator {
  readonly #frames: Frame[] = [frame(0, true)];
  #at = 1;
  #source = "";
  #flags = "";

  constructor(readonly pattern: string, readonly end: number) {}

  translate(): { readonly source: string; readonly flags: string } {
    const inline = /^\(\?([aimsu]+)\)/.exec(this.pattern.slice(1, this.end));
    if (inline !== null) {
      this.#at += inline[0].length;
      this.#flags = (inline[1] ?? "").replace(/[au]/g, "");
    }
    while (this.#at < this.end) this.#step();
    const open = this.#frames.at(-1);
    if (this.#frames.length > 1 && open !== undefined) {
      throw this.#error(open.position, "( is not closed", "add the closing )");
    }
    return { source: this.#source, flags: this.#flags };
  }

  #step(): void {
    const position = this.#at;
    const letter = this.pattern[position] as string;
    switch (letter) {
      case "\\":
        return this.#escape(position);
      case "[":
        this.#class(position);
        return this.#atom();
      case "(":
        return this.#open(position);
      case ")":
        return this.#close(position);
      case "|":
        this.#emit("|", 1);
        return nextAlternative(this.#top());
      case "^":
      case "$":
        return this.#emit(letter, 1);
      case "]":
      case "}":
      case "{": // a quantifier would have been taken with its atom
        this.#emit(`\\${letter}`, 1);
        return this.#atom();
      default:
        this.#emit(letter, 1);
        return this.#atom();
    }
  }

  #escape(position: number): void {
    const next = position + 1 < this.end ? this.pattern[position + 1] as string : "";
    if (next === "") {
      throw this.#error(position, "\\ is the last letter", "write \\\\ for a backslash");
    }
    if (next === "A") return this.#emit("(?<![^])", 2);
    if (next === "Z") return this.#emit("(?![^])", 2);
    if (next === "b" || next === "B") return this.#emit(`\\${next}`, 2);
    const needed = WORD.test(next) && next !== "_" || SYNTAX_LETTERS.test(next);
    this.#emit(needed ? `\\${next}` : next, 2);
    if (next === "k" || next === "p" || next === "P" || next === "u" || next === "x") {
      const argument = /^(<\w+>|\{[\w=]*\}|[0-9A-Fa-f]{2,4})/.exec(this.#rest());
      if (argument !== null) this.#emit(argument[0], argument[0].length);
    }
    this.#atom();
  }

  #class(start: number): void {
    this.#emit("[", 1);
    if (this.pattern[this.#at] === "^") this.#emit("^", 1);
    for (let isFirst = true; this.#at < this.end; isFirst = false) {
      const letter = this.pattern[this.#at] as string;
      if (letter === "]" && !isFirst) return this.#emit("]", 1);
      if (letter === "\\" && this.#at + 1 < this.end) {
        const next = this.pattern[this.#at + 1] as string;
        const needed = WORD.test(next) && next !== "_" || CLASS_LETTERS.test(next);
        this.#emit(needed ? `\\${next}` : next, 2);
      } else this.#emit(letter === "]" || letter === "[" ? `\\${letter}` : letter, 1);
    }
    throw this.#error(start, "[ is not closed", "add the closing ]");
  }

  #open(position: number): void {
    const rest = this.#rest();
    const reference = /^\(\?P=(\w+)\)/.exec(rest);
    if (reference !== null) {
      this.#emit(`\\k<${reference[1]}>`, reference[0].length);
      return this.#atom();
    }
    const head = /^\((\?P<|\?(?:[ims-]*:|<?[=!]|<))?/.exec(rest)?.[0] ?? "(";
    if (head === "(" && rest[1] === "?") {
      throw this.#error(
        position,
        `${rest.slice(0, 3)} is no kind of group that is known`,
        "use (…), (?:…), (?P<name>…), (?=…), (?!…), (?<=…) or (?<!…)",
      );
    }
    this.#frames.push(frame(position, !/[=!]$/.test(head)));
    this.#emit(head === "(?P<" ? "(?<" : head, head.length);
    if (head === "(?P<" || head === "(?<") {
      const name = /^\w+>/.exec(this.#rest());
      if (name !== null) this.#emit(name[0], name[0].length);
    }
  }

  #close(position: number): void {
    const closed = this.#frames.pop() as Frame;
    if (this.#frames.length === 0) {
      throw this.#error(position, ") closes nothing", "write \\) for the letter");
    }
    nextAlternative(closed);
    this.#emit(")", 1);
    if (closed.takesLetters) this.#atom(closed);
    else this.#quantifier();
  }

  /** Takes the quantifier of the atom or group just written, and notes what the two mean. */
  #atom(group?: Frame): void {
    const { isUnbounded, isLongCount, isOptional } = this.#quantifier();
    const isLoose = group?.isLoose ?? false;
    if ((isUnbounded || isLongCount) && group !== undefined && isLoose) {
      throw this.#error(
        group.position,
        "a group of nothing but repetitions is itself repeated, which can take time without end",
        "drop one of the two repetitions: (a+)+ finds what a+ finds",
      );
    }
    const top = this.#top();
    if (isUnbounded || isLoose) top.repeats = true;
    else if (!isOptional) top.isAnchored = true;
  }

  #quantifier(): Quantifier {
    const found = /^(?:([*+?])|\{(\d+)\}|\{(\d*),(\d*)\})\??/.exec(this.#rest());
    if (found === null) return ONCE;
    const [whole, sign, exact, least, most] = found;
    this.#emit(least === "" ? whole.replace("{,", "{0,") : whole, whole.length);
    const hasRange = least !== undefined && (most === "" || Number(most) > COUNT_MAX);
    return {
      isUnbounded: sign === "*" || sign === "+" || hasRange,
      isLongCount: Number(exact ?? 0) > COUNT_MAX,
      isOptional: sign === "?" || Number(exact ?? least ?? 1) === 0,
    };
  }

  #top(): Frame {
    return this.#frames.at(-1) as Frame;
  }

  #rest(): string {
    return this.pattern.slice(this.#at, this.end);
  }

  #emit(text: string, taken: number): void {
    this.#source += text;
    this.#at += taken;
  }

  #error(position: number, found: string, fix: string): HooklineError {
    return patternError(this.pattern, position, found, fix);
  }
}

function frame(position: number, takesLetters: boolean): Frame {
  return { position, takesLetters, repeats: false, isAnchored: false, isLoose: false };
}

function nextAlternative(ended: Frame): void {
  ended.isLoose ||= ended.repeats && !ended.isAnchored;
  ended.repeats = false;
  ended.isAnchored = false;
}
