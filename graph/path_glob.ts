// Globs over dotted module paths, and over class names. They are matched by a table over pattern and
// text, so time is bounded by the product of their lengths whatever the pattern says. Node's own
// matchesGlob is not used: it splits at slashes, and asks for the right to read the environment.

import { HooklineError } from "../errors/hookline_error.ts";

/** The error of a module pattern that cannot be parsed; `position` counts from 0. */
export function patternError(
  pattern: string,
  position: number,
  found: string,
  fix: string,
): HooklineError {
  const shown = pattern.length > 120 ? `${pattern.slice(0, 120)}…` : pattern;
  return new HooklineError("SELECTOR_SYNTAX", {
    message: `cannot parse the module pattern "${shown}": at position ${position}, ${found}`,
    fix,
    details: { pattern: shown, position },
  });
}

/** How to read a glob. */
export interface PathGlobOptions {
  /** The text that errors show; the glob itself unless given. */
  readonly pattern?: string;
  /** Where the glob starts in `pattern`, for positions in errors; default 0. */
  readonly offset?: number;
  /** False for class names: a dot is then a letter like any other; default true. */
  readonly isDotted?: boolean;
}

/** A parsed glob. */
export interface PathGlob {
  /** True when the text as a whole fits the glob. */
  matches(text: string): boolean;
}

interface NumberRange {
  readonly first: number;
  readonly last: number;
}

type Token =
  & { readonly position: number }
  & (
    | { readonly kind: "letter"; readonly letter: string; readonly isDot: boolean }
    | { readonly kind: "one" }
    | { readonly kind: "within" }
    | { readonly kind: "across"; readonly mayVanish: boolean }
    | { readonly kind: "number"; readonly ranges: readonly NumberRange[] }
  );

const ALTERNATIVES_MAX = 1000;
const DEPTH_MAX = 32;
const NUMBER_LIST = /^\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*$/;
const DIGIT = /^[0-9]$/;

/**
 * Parses a glob:
 * - `*` is any run of letters within one segment, `?` one letter;
 * - `**` is any run of letters, dots included; as a segment of its own, any number of segments, so
 *   that `**.query` finds `query` as well, while `encoder.**` is what lies below `encoder`;
 * - `{a,b}` is either, may nest and hold dots;
 * - `[1-11]` and `[0,2,4-6]` are numbers, compared as numbers with the whole run of digits: `h.[1-3]`
 *   does not find `h.12`. Brackets are no character class; write `{a,b,c}` for letters;
 * - `\` takes the next letter as it is.
 *
 * @throws {HooklineError} SELECTOR_SYNTAX with the position.
 */
export function parsePathGlob(glob: string, options: PathGlobOptions = {}): PathGlob {
  const parser = new GlobParser(glob, options);
  const alternatives = parser.parse();
  return { matches: (text) => alternatives.some((tokens) => fits(tokens, text, parser.isDotted)) };
}

class GlobParser {
  readonly isDotted: boolean;
  readonly #pattern: string;
  readonly #offset: number;
  #at = 0;

  constructor(readonly glob: string, options: PathGlobOptions) {
    this.isDotted = options.isDotted ?? true;
    this.#pattern = options.pattern ?? glob;
    this.#offset = options.offset ?? 0;
  }

  parse(): Token[][] {
    const alternatives = this.#sequence(0);
    return alternatives.map((tokens) => this.#finish(tokens));
  }

  /** Up to the end, or to the `,` or `}` that ends an alternative. */
  #sequence(depth: number): Token[][] {
    let made: Token[][] = [[]];
    while (this.#at < this.glob.length) {
      const position = this.#at;
      const letter = this.glob[position] as string;
      if (depth > 0 && (letter === "," || letter === "}")) return made;
      if (letter === "{") {
        const inner = this.#braces(depth + 1);
        if (made.length * inner.length > ALTERNATIVES_MAX) {
          throw this.#error(
            position,
            `the braces expand to more than ${ALTERNATIVES_MAX} patterns`,
            "use * or a regular expression instead",
          );
        }
        made = made.flatMap((head) => inner.map((tail) => [...head, ...tail]));
      } else {
        const token = this.#token(letter, position);
        for (const tokens of made) tokens.push(token);
      }
    }
    return made;
  }

  #braces(depth: number): Token[][] {
    const start = this.#at++;
    if (depth > DEPTH_MAX) {
      throw this.#error(start, `braces nest deeper than ${DEPTH_MAX}`, "write fewer braces");
    }
    const made: Token[][] = [];
    for (;;) {
      made.push(...this.#sequence(depth));
      const end = this.glob[this.#at++];
      if (end === "}") return made;
      if (end === undefined) throw this.#error(start, "{ is not closed", "add the closing }");
    }
  }

  #token(letter: string, position: number): Token {
    this.#at++;
    switch (letter) {
      case "\\": {
        const next = this.glob[this.#at++];
        if (next === undefined) {
          throw this.#error(position, "\\ is the last letter", "write \\\\ for a backslash");
        }
        return { kind: "letter", letter: next, isDot: false, position };
      }
      case "?":
        return { kind: "one", position };
      case "*": {
        const start = this.#at - 1;
        while (this.glob[this.#at] === "*") this.#at++;
        return this.#at - start > 1
          ? { kind: "across", mayVanish: false, position }
          : { kind: "within", position };
      }
      case "[":
        return this.#numbers(position);
      case "]":
      case "}":
        throw this.#error(position, `${letter} closes nothing`, `write \\${letter} for the letter`);
      default:
        return { kind: "letter", letter, isDot: letter === "." && this.isDotted, position };
    }
  }

  #numbers(position: number): Token {
    const end = this.glob.indexOf("]", this.#at);
    if (end < 0) throw this.#error(position, "[ is not closed", "add the closing ]");
    const content = this.glob.slice(this.#at, end);
    if (!NUMBER_LIST.test(content)) {
      throw this.#error(
        position,
        `[${content.slice(0, 40)}] is no list of numbers`,
        "write numbers, as in [1-11] or [0,2,4]; for letters write {a,b,c}",
      );
    }
    this.#at = end + 1;
    const ranges = content.split(",").map((text) => {
      const [first, last] = text.split("-");
      const range = { first: Number(first), last: Number(last ?? first) };
      if (range.first > range.last) {
        throw this.#error(
          position,
          `the range ${text} is empty`,
          `write [${range.last}-${range.first}]`,
        );
      }
      return range;
    });
    return { kind: "number", ranges, position };
  }

  /** Checks what only neighbours tell, and lets `**.` at the start of a segment stand for nothing. */
  #finish(tokens: readonly Token[]): Token[] {
    return tokens.map((token, index) => {
      const before = tokens[index - 1];
      const after = tokens[index + 1];
      if (token.kind === "number" && (endsDigits(before) || endsDigits(after))) {
        throw this.#error(
          token.position,
          "a number range stands beside another digit",
          "write the whole number as one range, such as [10-19]",
        );
      }
      if (isDot(token) && (before === undefined || after === undefined || isDot(after))) {
        throw this.#error(
          token.position,
          "a segment is empty",
          'write paths as in named_modules(), "encoder.layer.0"; "" is the model itself',
        );
      }
      return token.kind === "across" && isDot(after) && (before === undefined || isDot(before))
        ? { ...token, mayVanish: true }
        : token;
    });
  }

  #error(position: number, found: string, fix: string): HooklineError {
    return patternError(this.#pattern, position + this.#offset, found, fix);
  }
}

function isDot(token: Token | undefined): boolean {
  return token?.kind === "letter" && token.isDot;
}

function endsDigits(token: Token | undefined): boolean {
  return token?.kind === "number" || (token?.kind === "letter" && DIGIT.test(token.letter));
}

/** Fills the table "the first `state` tokens can end at `at`", row by row. */
function fits(tokens: readonly Token[], text: string, isDotted: boolean): boolean {
  const width = tokens.length + 1;
  const reached = new Uint8Array(width * (text.length + 1));
  reached[0] = 1;
  for (let at = 0; at <= text.length; at++) {
    const row = at * width;
    const letter = text[at];
    for (const [state, token] of tokens.entries()) {
      if (reached[row + state] === 0) continue;
      switch (token.kind) {
        case "letter":
          if (letter === token.letter) reached[row + width + state + 1] = 1;
          break;
        case "one":
          if (letter !== undefined && !(isDotted && letter === ".")) {
            reached[row + width + state + 1] = 1;
          }
          break;
        case "within":
          reached[row + state + 1] = 1;
          if (letter !== undefined && !(isDotted && letter === ".")) {
            reached[row + width + state] = 1;
          }
          break;
        case "across":
          reached[row + state + 1] = 1;
          if (token.mayVanish && (at === 0 || text[at - 1] === ".")) reached[row + state + 2] = 1;
          if (letter !== undefined) reached[row + width + state] = 1;
          break;
        case "number": {
          const end = digitsEnd(text, at);
          const value = Number(text.slice(at, end));
          if (
            end > at && token.ranges.some(({ first, last }) => first <= value && value <= last)
          ) reached[end * width + state + 1] = 1;
          break;
        }
      }
    }
  }
  return reached[reached.length - 1] === 1;
}

/** Where the run of digits that starts at `at` ends; `at` itself when none starts there. */
function digitsEnd(text: string, at: number): number {
  if (at > 0 && DIGIT.test(text[at - 1] as string)) return at;
  let end = at;
  while (end < text.length && DIGIT.test(text[end] as string)) end++;
  return end;
}
