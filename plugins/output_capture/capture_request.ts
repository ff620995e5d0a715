// Reads what a caller asked for: flags of the call over flags of the configuration, by key or by
// transformers' name of the flag. It knows keys, no hooks.

import { type ErrorDetail, HooklineError } from "../../mod.ts";
import type { CaptureKey } from "./capture_key.ts";

/**
 * Whether a key is captured: all of it, nothing (false or null), or the listed positions of its list,
 * negative ones from the end. What is not listed stays null, so that positions keep their meaning.
 */
export type CaptureFlag = boolean | null | readonly number[];

/** Flags by key, or by `output_` and the key. */
export type CaptureFlags = Readonly<Record<string, CaptureFlag | undefined>>;

/** The positions of each wanted key. */
export type WantedPositions = ReadonlyMap<CaptureKey, ReadonlySet<number>>;

/** Keys that follow the flag of another one unless they are asked for by name. */
const FOLLOWS: Readonly<Record<string, string>> = {
  cross_attentions: "attentions",
  mask_decoder_attentions: "attentions",
};

/** What {@linkcode wantedPositions} reads. */
export interface FlagSources {
  /** Flags of this call. */
  readonly call: CaptureFlags;
  /** Flags of this call for sub-models, by path; theirs where given, else the model's. */
  readonly submodels: Readonly<Record<string, CaptureFlags>>;
  /** Flags that hold where the call says nothing. */
  readonly config: CaptureFlags;
}

/**
 * The positions that are wanted of each key.
 *
 * @throws {HooklineError} OPTION_INVALID for an unknown key, a key asked for under both its names, or a
 * position that the key does not have.
 */
export function wantedPositions(
  keys: readonly CaptureKey[],
  sources: FlagSources,
): WantedPositions {
  requireKnown(keys, sources);
  const wanted = new Map<CaptureKey, ReadonlySet<number>>();
  for (const key of keys) {
    const own = key.level === "" ? sources.call : sources.submodels[key.level] ?? sources.call;
    const flag = flagOf(key.name, own) ?? followed(key.name, own) ??
      flagOf(key.name, sources.config) ?? followed(key.name, sources.config) ?? false;
    const positions = positionsOf(key, flag);
    if (positions !== null) wanted.set(key, positions);
  }
  return wanted;
}

/** The name of a key without transformers' prefix, once: `output_` inside a name stays. */
export function keyOfFlag(flag: string, names: ReadonlySet<string>): string {
  if (names.has(flag) || !flag.startsWith("output_")) return flag;
  return flag.slice("output_".length);
}

/** undefined: not said; null counts as "off", which overrides the configuration. */
function flagOf(name: string, flags: CaptureFlags): CaptureFlag | undefined {
  const plain = Object.hasOwn(flags, name) ? flags[name] : undefined;
  const prefixed = Object.hasOwn(flags, `output_${name}`) ? flags[`output_${name}`] : undefined;
  if (plain !== undefined && prefixed !== undefined) {
    throw invalid(`it is asked for twice, as "${name}" and as "output_${name}"`, "use one name", {
      key: name,
    });
  }
  const flag = plain !== undefined ? plain : prefixed;
  return flag === null ? false : flag;
}

function followed(name: string, flags: CaptureFlags): CaptureFlag | undefined {
  const leader = Object.hasOwn(FOLLOWS, name) ? FOLLOWS[name] : undefined;
  return leader === undefined ? undefined : flagOf(leader, flags);
}

function positionsOf(key: CaptureKey, flag: CaptureFlag): ReadonlySet<number> | null {
  if (flag === false || flag === null) return null;
  const { length } = key.slots();
  if (flag === true) return new Set(key.slots().keys());
  if (!Array.isArray(flag)) {
    throw invalid(`"${key.name}" is ${typeof flag}`, "give true, false or a list of positions", {
      key: key.name,
    });
  }
  if (flag.length === 0) return null;
  return new Set((flag as readonly number[]).map((given) => {
    const position = given < 0 ? given + length : given;
    if (Number.isInteger(position) && position >= 0 && position < length) return position;
    throw invalid(
      `"${key.name}" has ${length} positions and none of them is ${given}`,
      `use 0 to ${length - 1}, or -1 for the last`,
      { key: key.name, position: given },
    );
  }));
}

function requireKnown(keys: readonly CaptureKey[], sources: FlagSources): void {
  const check = (flags: CaptureFlags, levels: (level: string) => boolean): void => {
    const names = new Set(keys.filter(({ level }) => levels(level)).map(({ name }) => name));
    const unknown = Object.keys(flags).filter((flag) => !names.has(keyOfFlag(flag, names)));
    if (unknown.length === 0) return;
    throw invalid(
      `there is no key ${unknown.map((name) => `"${name}"`).join(", ")}`,
      names.size === 0
        ? 'this model declares none; pass { keys: { hidden_states: "blocks.*" } }'
        : `use ${[...names].join(", ")}`,
      { unknown, keys: [...names] },
    );
  };
  check(sources.call, () => true);
  // A configuration may serve several models, so it may name keys that this one lacks.
  for (const [path, flags] of Object.entries(sources.submodels)) {
    check(flags, (level) => level === path);
  }
}

function invalid(
  what: string,
  fix: string,
  details: Readonly<Record<string, ErrorDetail>>,
): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: `cannot capture: ${what}`,
    fix,
    details: { option: "want", ...details },
  });
}
