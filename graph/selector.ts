// Which modules somebody means. A selector is text, a test, or a list of both; a span is a run of
// neighbours taken as one module. It knows no hook and no plan: whether the chosen modules can be cut
// apart, or run as one, is the planner's to say.
//
// Invariant: a pattern that finds nothing is an error, never an empty answer, unless the caller says
// otherwise.

import { causeText } from "../errors/cause_text.ts";
import { HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import type { GraphModule, ModuleTree } from "./graph_module.ts";
import { parsePathGlob, patternError } from "./path_glob.ts";
import { parsePathRegex } from "./path_regex.ts";

/**
 * Names modules.
 *
 * As text, in the order in which the forms are tried:
 * - a path: `encoder.layer.0`; `""` is the model itself, which no glob or expression finds;
 * - `/expression/flags`: a regular expression searched for anywhere in the path, as Python's
 *   `re.search` does; see {@linkcode selectModules} for its limits;
 * - `class:BertLayer`: the class as the file has it; globs work, `class:*Attention`;
 * - a glob over dotted paths: `*` and `?` within a segment, `**` across segments, `{a,b}`, and
 *   `[1-11]` or `[0,2]` as numbers: `h.[1-11]`, `encoder.**.query`, `**attn**`;
 * - `!` before any of these, in a list: what it finds is left out.
 *
 * As a function: every module that it returns true for, the model itself included.
 *
 * As a list: what any member finds, less what any `!` member finds, whatever their order. Lists nest;
 * an inner list leaves out of its own finds alone.
 */
export type ModuleSelector =
  | string
  | ((module: GraphModule) => boolean)
  | readonly ModuleSelector[];

/** Options of {@linkcode selectModules}. */
export interface SelectOptions {
  /** True to answer with an empty list where nothing is found; default false. */
  readonly allowEmpty?: boolean;
}

/** `prefix[first-last]suffix`: what {@linkcode parseSpan} reads. */
export interface SpanRange {
  /** The paths before the number: `h.`. */
  readonly prefix: string;
  /** The lowest number. */
  readonly first: number;
  /** The highest number, itself included. */
  readonly last: number;
  /** The paths after the number; mostly empty. */
  readonly suffix: string;
}

const PATTERN_LENGTH_MAX = 1000;
const LIST_DEPTH_MAX = 16;
const CLASS_PREFIX = "class:";

/**
 * The modules that a selector names, in the tree's order, each once.
 *
 * Every pattern of a list must find something by itself, exclusions too: a misspelt one is an error
 * even where its neighbours find modules. Write alternatives as one pattern: `class:{BertLayer,ViTLayer}`.
 * A regular expression is at most 1,000 letters, and one with nested repetition, `(\w+)+`, is refused,
 * because a search cannot be stopped.
 *
 * @throws {HooklineError} SELECTOR_SYNTAX when a pattern cannot be parsed, with the position;
 * HOOK_MATCH_EMPTY when one finds nothing, with the nearest paths.
 *
 * @example
 * ```ts ignore
 * selectModules(tree, ["h.[1-11]", "!h.[5,6]"]).map((module) => module.path);
 * ```
 */
export function selectModules(
  tree: ModuleTree,
  selector: ModuleSelector,
  options: SelectOptions = {},
): readonly GraphModule[] {
  const allowEmpty = options.allowEmpty ?? false;
  const found = find(tree, selector, allowEmpty, 0);
  return Object.freeze(tree.modules.filter((module) => found.has(module)));
}

/**
 * Reads a span in its numeric form, such as `h.[1-11]`; null for any other text, which may be a
 * selector all the same.
 *
 * @throws {HooklineError} SELECTOR_SYNTAX when the range is empty.
 */
export function parseSpan(text: string): SpanRange | null {
  const found = /^([^*?{}[\]\\!/]*)\[(\d{1,9})-(\d{1,9})\]([^*?{}[\]\\]*)$/.exec(text);
  if (found === null || text.startsWith(CLASS_PREFIX)) return null;
  parsePathGlob(text); // an empty range, or a digit beside it, is an error here
  const [, prefix, first, last, suffix] = found;
  return Object.freeze({
    prefix: prefix ?? "",
    first: Number(first),
    last: Number(last),
    suffix: suffix ?? "",
  });
}

/**
 * The modules of a span in execution order: neighbours under one parent, with none between them left
 * out, each called once. A numeric span must find every number that it names. Whether the union can
 * run as one is checked when it is planned.
 *
 * @throws {HooklineError} MODULE_SPAN_INVALID, besides what {@linkcode selectModules} throws.
 */
export function selectSpan(tree: ModuleTree, selector: ModuleSelector): readonly GraphModule[] {
  const modules = selectModules(tree, selector);
  const shown = describe(selector);
  if (typeof selector === "string" && tree.get(selector) === undefined) {
    checkNumbers(modules, parseSpan(selector), shown);
  }
  const [first] = modules;
  if (first === undefined) throw matchEmpty(tree, shown, "");
  for (const module of modules) {
    if (module.parent !== first.parent || module.insideBody !== first.insideBody) {
      throw spanError(
        shown,
        module,
        `"${module.path}" does not lie beside "${first.path}"`,
        "name modules that have one parent, without what lies inside them",
      );
    }
    if (module.calls.length !== 1) {
      throw spanError(
        shown,
        module,
        `"${module.path}" is ${
          module.calls.length === 0 ? "never called" : `called ${module.calls.length} times`
        }, not once`,
        "leave it out, or hook it by itself",
      );
    }
  }
  const siblings = tree.modules.filter((module) =>
    module.parent === first.parent && module.insideBody === first.insideBody &&
    module.calls.length > 0
  );
  const start = siblings.indexOf(first);
  for (const [index, module] of modules.entries()) {
    const expected = siblings[start + index];
    if (expected === module) continue;
    throw spanError(
      shown,
      module,
      `"${expected?.path}" runs between "${modules[index - 1]?.path}" and "${module.path}"`,
      `take "${expected?.path}" into the span, or end the span before it`,
    );
  }
  return modules;
}

function checkNumbers(
  modules: readonly GraphModule[],
  range: SpanRange | null,
  shown: string,
): void {
  if (range === null) return;
  const wanted = range.last - range.first + 1;
  const numbers = new Set(
    modules.map(({ path }) =>
      Number(path.slice(range.prefix.length, path.length - range.suffix.length))
    ),
  );
  if (numbers.size === wanted) return;
  throw new HooklineError("MODULE_SPAN_INVALID", {
    message:
      `cannot take "${shown}" as one module: it names ${wanted} modules, the model has ${numbers.size} of them, ${
        modules[0]?.path
      } to ${modules.at(-1)?.path}`,
    fix: "name only numbers that exist; `hookline inspect` lists the modules",
    details: { span: shown, wanted, found: numbers.size },
  });
}

function spanError(shown: string, module: GraphModule, what: string, fix: string): HooklineError {
  return new HooklineError("MODULE_SPAN_INVALID", {
    message: `cannot take "${shown}" as one module: ${what}`,
    fix,
    details: { span: shown, module: module.path },
  });
}

function find(
  tree: ModuleTree,
  selector: ModuleSelector,
  allowEmpty: boolean,
  depth: number,
): ReadonlySet<GraphModule> {
  if (typeof selector === "string") return findText(tree, selector, allowEmpty);
  if (typeof selector === "function") return findByTest(tree, selector, allowEmpty);
  if (!Array.isArray(selector)) {
    throw new HooklineError("SELECTOR_SYNTAX", {
      message: `cannot use a selector of type ${typeof selector}`,
      fix:
        'give a path, a pattern, a function, or a list of these; an expression is text: "/attn/"',
      details: { type: typeof selector },
    });
  }
  if (depth >= LIST_DEPTH_MAX) {
    throw new HooklineError("SELECTOR_SYNTAX", {
      message: `cannot use a selector whose lists nest deeper than ${LIST_DEPTH_MAX}`,
      fix: "write one flat list",
    });
  }
  return findAny(tree, selector as readonly ModuleSelector[], allowEmpty, depth);
}

function findAny(
  tree: ModuleTree,
  list: readonly ModuleSelector[],
  allowEmpty: boolean,
  depth: number,
): ReadonlySet<GraphModule> {
  const found = new Set<GraphModule>();
  const excluded: GraphModule[] = [];
  let wanted = 0;
  for (const member of list) {
    if (typeof member === "string" && isExclusion(tree, member)) {
      excluded.push(...findText(tree, member.slice(1), allowEmpty));
      continue;
    }
    wanted++;
    for (const module of find(tree, member, allowEmpty, depth + 1)) found.add(module);
  }
  if (wanted === 0 && list.length > 0) {
    throw patternError(
      describe(list),
      0,
      "the list only leaves modules out",
      'say first what they are left out of, such as "**" for every module',
    );
  }
  for (const module of excluded) found.delete(module);
  if (found.size === 0 && !allowEmpty) throw matchEmpty(tree, describe(list), "");
  return found;
}

function findByTest(
  tree: ModuleTree,
  test: (module: GraphModule) => boolean,
  allowEmpty: boolean,
): ReadonlySet<GraphModule> {
  const found = new Set<GraphModule>();
  for (const module of tree.modules) {
    const answer = answerOf(test, module);
    if (typeof answer !== "boolean") {
      if (answer instanceof Promise) answer.catch(() => {}); // its failure must not end the process
      throw new HooklineError("SELECTOR_SYNTAX", {
        message: `cannot use ${
          describe(test)
        } as a selector: it returned a value of type ${typeof answer} for module "${module.path}", wanted a boolean`,
        fix: "return true or false; a selector cannot be async",
        details: { type: typeof answer, module: module.path },
      });
    }
    if (answer) found.add(module);
  }
  if (found.size === 0 && !allowEmpty) throw matchEmpty(tree, describe(test), "");
  return found;
}

function answerOf(test: (module: GraphModule) => boolean, module: GraphModule): unknown {
  try {
    return test(module);
  } catch (cause) {
    throw new HooklineError("SELECTOR_SYNTAX", {
      message: `cannot use ${describe(test)} as a selector: it threw for module "${module.path}": ${
        causeText(cause)
      }`,
      fix: "mend the function; the error that it threw is this error's cause",
      details: { module: module.path },
      cause,
    });
  }
}

function findText(
  tree: ModuleTree,
  pattern: string,
  allowEmpty: boolean,
): ReadonlySet<GraphModule> {
  const exact = tree.get(pattern);
  if (exact !== undefined) return new Set([exact]);
  if (pattern.length > PATTERN_LENGTH_MAX) {
    throw patternError(
      pattern,
      PATTERN_LENGTH_MAX,
      `it is longer than ${PATTERN_LENGTH_MAX} letters`,
      "split it into a list of shorter patterns",
    );
  }
  const matches = parsePattern(pattern);
  const found = new Set(tree.modules.filter(matches));
  if (found.size === 0 && !allowEmpty) throw matchEmpty(tree, pattern, pattern);
  return found;
}

function parsePattern(pattern: string): (module: GraphModule) => boolean {
  if (pattern === "") return () => false;
  if (pattern.startsWith("!")) {
    throw patternError(
      pattern,
      0,
      "! leaves modules out, which only a list can do",
      `write ["**", "${pattern.slice(0, 40)}"], or \\! for the letter`,
    );
  }
  if (pattern.startsWith("/")) {
    const expression = parsePathRegex(pattern);
    return ({ path }) => path !== "" && expression.test(path);
  }
  if (pattern.startsWith(CLASS_PREFIX)) {
    const offset = CLASS_PREFIX.length;
    if (pattern.length === offset) {
      throw patternError(pattern, offset, "the class is missing", "write class:BertLayer");
    }
    const glob = parsePathGlob(pattern.slice(offset), { pattern, offset, isDotted: false });
    return ({ className }) => className !== null && glob.matches(className);
  }
  const glob = parsePathGlob(pattern);
  return ({ path }) => path !== "" && glob.matches(path);
}

/** A module may be named `!x`; then that is what the text means. */
function isExclusion(tree: ModuleTree, text: string): boolean {
  return text.startsWith("!") && tree.get(text) === undefined;
}

function matchEmpty(tree: ModuleTree, shown: string, pattern: string): HooklineError {
  const nearest = nearestPatterns(tree, pattern);
  const count = tree.modules.length;
  return new HooklineError("HOOK_MATCH_EMPTY", {
    message: `"${shown}" matches none of the model's ${count} module${count === 1 ? "" : "s"}`,
    fix: nearest.length === 0
      ? "list the modules with `hookline inspect`"
      : `did you mean ${nearest.map((name) => `"${name}"`).join(" or ")}?`,
    details: { pattern: shown, nearest },
  });
}

function nearestPatterns(tree: ModuleTree, pattern: string): string[] {
  if (pattern.startsWith(CLASS_PREFIX)) {
    const names = new Set<string>();
    for (const { className } of tree.modules) if (className !== null) names.add(className);
    return nearestNames(pattern.slice(CLASS_PREFIX.length), names).map((name) =>
      CLASS_PREFIX + name
    );
  }
  const expression = /^\/(.*)\/[a-z]*$/.exec(pattern)?.[1];
  const wanted = (expression ?? pattern).replace(/[\\^$*()]/g, "").replace(/^\.+|\.+$/g, "");
  if (wanted === "") return [];
  return nearestNames(wanted, tree.modules.map((module) => module.path));
}

function describe(selector: ModuleSelector): string {
  if (typeof selector === "string") return selector;
  if (typeof selector === "function") return `function ${selector.name || "without a name"}`;
  const shown = selector.slice(0, 4).map((member) => describe(member)).join(", ");
  return `[${shown}${selector.length > 4 ? ", …" : ""}]`;
}
