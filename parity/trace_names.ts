// Which module of the candidate is which module of the reference. It knows dotted paths: rules that a
// caller gives, and a guess where a whole prefix is on one side only. It never guesses by similarity of
// names: `h.0` and `h.1` are as similar as names get.

import { HooklineError } from "../errors/hookline_error.ts";

/** A prefix of the reference's paths and what stands for it in the candidate; `""` for no prefix. */
export interface NameRule {
  /** As the reference has it, without the dot behind. */
  readonly reference: string;
  /** As the candidate has it. */
  readonly candidate: string;
  /** `"map"` when the caller gave it, `"prefix"` when it was guessed. */
  readonly by: "map" | "prefix";
}

/** What {@linkcode guessPrefixes} found. */
export interface GuessedPrefixes {
  /** The rules, the one that explains most first. */
  readonly rules: readonly NameRule[];
  /** A prefix was not guessed because two would have done, as `"a" or "b"`. */
  readonly ambiguous: string | null;
}

const RULE_LIMIT = 4;
const PATH = /^[^=\s]*$/;

/**
 * Rules from texts such as `transformer.h=model.layers`: the reference's prefix, then the candidate's.
 *
 * @throws {HooklineError} OPTION_INVALID for a text that is none, or for two rules for one prefix.
 */
export function parseNameRules(texts: readonly string[]): NameRule[] {
  const rules: NameRule[] = [];
  for (const text of texts) {
    const at = text.indexOf("=");
    const reference = text.slice(0, at).replace(/\.$/, "");
    const candidate = text.slice(at + 1).replace(/\.$/, "");
    if (at < 0 || !PATH.test(reference) || !PATH.test(candidate) || reference === candidate) {
      throw invalidMap(`"${text.slice(0, 80)}" is no rename`);
    }
    if (rules.some((rule) => rule.candidate === candidate)) {
      throw invalidMap(`"${candidate}" is renamed twice`);
    }
    rules.push({ reference, candidate, by: "map" });
  }
  // The longest prefix is the most special one.
  return rules.sort((left, right) => right.candidate.length - left.candidate.length);
}

function invalidMap(found: string): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: `cannot map module names: ${found}`,
    fix: "write --map REFERENCE_PREFIX=CANDIDATE_PREFIX, such as --map transformer.h=model.layers",
    details: { option: "map" },
  });
}

/** A candidate's path in the reference's spelling; null when the rule says nothing about it. */
export function applyRule({ reference, candidate }: NameRule, path: string): string | null {
  if (candidate === "") return `${reference}.${path}`;
  if (path === candidate) return reference === "" ? null : reference;
  if (!path.startsWith(`${candidate}.`)) return null;
  const rest = path.slice(candidate.length + 1);
  return reference === "" ? rest : `${reference}.${rest}`;
}

/**
 * Finds prefixes that one side has and the other has not, or spells in another way, from the paths that
 * found no partner. A prefix on one side only must explain two paths, or all of a side; one that is
 * spelled in another way must explain most paths, at least three, and hold no index.
 */
export function guessPrefixes(
  referencePaths: ReadonlySet<string>,
  candidatePaths: ReadonlySet<string>,
): GuessedPrefixes {
  let left = [...referencePaths].filter((path) => !candidatePaths.has(path));
  let right = [...candidatePaths].filter((path) => !referencePaths.has(path));
  const rules: NameRule[] = [];
  let ambiguous: string | null = null;
  while (left.length > 0 && right.length > 0 && rules.length < RULE_LIMIT) {
    const [best, second] = countRules(left, right);
    if (best === undefined || !isConvincing(best, Math.min(left.length, right.length))) break;
    if (second?.count === best.count && sameSide(best.rule, second.rule)) {
      ambiguous = [best, second]
        .map(({ rule }) => `"${rule.reference === "" ? rule.candidate : rule.reference}"`)
        .join(" or ");
      break;
    }
    rules.push(best.rule);
    const wanted = new Set(left);
    const taken = new Set<string>();
    right = right.filter((path) => {
      const renamed = applyRule(best.rule, path);
      if (renamed === null || !wanted.has(renamed)) return true;
      taken.add(renamed);
      return false;
    });
    left = left.filter((path) => !taken.has(path));
  }
  return { rules, ambiguous };
}

interface CountedRule {
  readonly rule: NameRule;
  count: number;
}

function isConvincing({ rule, count }: CountedRule, smaller: number): boolean {
  if (rule.reference === "" || rule.candidate === "") return count >= Math.min(2, smaller);
  const hasIndex = /(^|\.)\d+(\.|$)/.test(`${rule.reference}.${rule.candidate}`);
  return !hasIndex && count >= Math.max(3, 0.8 * smaller);
}

/** Two prefixes for the same paths, such as `encoder` and `decoder` for a bare `h.0`. */
function sameSide(one: NameRule, other: NameRule): boolean {
  return (one.candidate === "") === (other.candidate === "") &&
    (one.reference === "") === (other.reference === "");
}

/** The rules that would pair paths, by how many they would pair, most first. */
function countRules(left: readonly string[], right: readonly string[]): CountedRule[] {
  const counted = new Map<string, CountedRule>();
  const count = (reference: string, candidate: string): void => {
    const key = `${reference}=${candidate}`;
    const known = counted.get(key);
    if (known === undefined) {
      counted.set(key, { rule: { reference, candidate, by: "prefix" }, count: 1 });
    } else known.count++;
  };
  const [leftSet, rightSet] = [new Set(left), new Set(right)];
  for (const [path, at] of suffixes(left)) {
    if (rightSet.has(path.slice(at + 1))) count(path.slice(0, at), "");
  }
  for (const [path, at] of suffixes(right)) {
    if (leftSet.has(path.slice(at + 1))) count("", path.slice(0, at));
  }
  const prefixesBySuffix = new Map<string, string[]>();
  for (const [path, at] of suffixes(right)) {
    const suffix = path.slice(at + 1);
    const prefixes = prefixesBySuffix.get(suffix);
    if (prefixes === undefined) prefixesBySuffix.set(suffix, [path.slice(0, at)]);
    else if (prefixes.length < 3) prefixes.push(path.slice(0, at));
  }
  for (const path of left) {
    // The longest common suffix alone: shorter ones say less and are more common.
    for (let at = path.indexOf("."); at >= 0; at = path.indexOf(".", at + 1)) {
      const prefixes = prefixesBySuffix.get(path.slice(at + 1)) ?? [];
      if (prefixes.length === 0) continue;
      if (prefixes.length < 3) { for (const prefix of prefixes) count(path.slice(0, at), prefix); }
      break;
    }
  }
  return [...counted.values()].sort((one, other) =>
    other.count - one.count || (keyOf(one) < keyOf(other) ? -1 : 1)
  );
}

/** Fewer words first among rules that explain as much. */
function keyOf({ rule }: CountedRule): string {
  const length = rule.reference.length + rule.candidate.length;
  return `${String(length).padStart(8, "0")} ${rule.reference}=${rule.candidate}`;
}

/** Every path with each of its dots. */
function* suffixes(paths: readonly string[]): Iterable<[string, number]> {
  for (const path of paths) {
    for (let at = path.indexOf("."); at >= 0; at = path.indexOf(".", at + 1)) yield [path, at];
  }
}

/** The names of both sides. */
export class NameTable {
  /** Every rule in use. */
  readonly rules: NameRule[];
  /** How many modules of the candidate each rule renamed. */
  readonly uses: number[];
  /** Two prefixes of which neither was chosen. */
  ambiguous: string | null = null;
  readonly #known: ReadonlySet<string>;

  /** Takes the caller's rules and the paths at the beginning of the reference. */
  constructor(rules: readonly NameRule[], known: ReadonlySet<string>) {
    this.rules = [...rules];
    this.uses = rules.map(() => 0);
    this.#known = known;
  }

  /** Adds the prefixes that the paths at the beginning of both files suggest. */
  guess(candidate: ReadonlySet<string>): void {
    const mapped = new Set([...candidate].map((path) => this.#map(path)?.path ?? path));
    const { rules, ambiguous } = guessPrefixes(this.#known, mapped);
    this.ambiguous = ambiguous;
    for (const rule of rules) {
      this.rules.push(rule);
      this.uses.push(0);
    }
  }

  /** The reference's path for a candidate's; `isSeen` says whether the reference had a path by now. */
  rename(path: string, isSeen: (path: string) => boolean): string {
    const isKnown = (wanted: string): boolean => this.#known.has(wanted) || isSeen(wanted);
    const mapped = this.#map(path);
    if (mapped !== null) this.#use(mapped.index);
    const plain = mapped?.path ?? path;
    if (isKnown(plain)) return plain;
    for (const [index, rule] of this.rules.entries()) {
      if (rule.by !== "prefix") continue;
      const renamed = applyRule(rule, plain);
      if (renamed === null || !isKnown(renamed)) continue;
      this.#use(index);
      return renamed;
    }
    return plain;
  }

  #use(index: number): void {
    this.uses[index] = (this.uses[index] ?? 0) + 1;
  }

  #map(path: string): { readonly path: string; readonly index: number } | null {
    for (const [index, rule] of this.rules.entries()) {
      if (rule.by !== "map") continue;
      const renamed = applyRule(rule, path);
      if (renamed !== null) return { path: renamed, index };
    }
    return null;
  }
}
