// What a trace is asked for, in code or as the text of a command line or an environment variable, and
// what is wrong with it. Invariant: everything that can be refused without a model is refused here,
// before a model is touched or a file opened.

import { HooklineError, type ModuleSelector } from "../../mod.ts";
import type { LabelMap } from "./labels.ts";
import { TRACE_STATISTICS, type TraceStatistic } from "./statistics.ts";

/** Options of `activationTrace`. Texts are those of the environment variables. */
export interface ActivationTraceOptions {
  /** False: attaching does nothing at all. Default true. */
  readonly enabled?: boolean;
  /**
   * A regular expression searched for anywhere in the dotted path, as Python's `re.search` does; every
   * module when left out or empty. Not together with `select`.
   */
  readonly layers?: string;
  /** The modules by selector: a glob, `class:BertLayer`, a function, a list; see `Model.select`. */
  readonly select?: ModuleSelector;
  /** Statistics in the order in which records are to have them, as a list or `"abs_mean,sum"` (the default). */
  readonly stats?: string | readonly TraceStatistic[];
  /** Steps (of `traceStep`) to record, as a list or `"0,5,10"`; all calls when left out or empty. */
  readonly steps?: string | readonly number[];
  /**
   * The file. Every `<pid>` becomes the process id, a leading `<tmp>` the folder for temporary files;
   * `<tmp>/hookline_trace_<pid>.jsonl` when left out or empty.
   */
  readonly output?: string;
  /** `"append"` (the default) keeps what the file holds, `"new"` empties it when the trace is attached. */
  readonly mode?: "append" | "new";
  /** True to wait, at the end of every call, until its records are on the disk itself. */
  readonly fsync?: boolean;
  /** Whether a header line tells where the records come from; default true. */
  readonly header?: boolean;
  /** True to put the sha256 of the whole model file into the header: every byte of it is read once. */
  readonly fileHash?: boolean;
  /** True to trace what goes into the modules too, as `in[0]`, `in[1]`, …; default false. */
  readonly inputs?: boolean;
  /** Labels for modules whose nesting an ONNX file does not tell; see {@linkcode LabelMap}. */
  readonly labels?: LabelMap;
  /** The hooks' name, so that two traces can stand on one model; `"activation-trace"` when left out. */
  readonly name?: string;
}

/** Options after every check that needs no model. */
export interface TraceSettings {
  readonly name: string;
  /** Null for every module. */
  readonly selector: ModuleSelector | null;
  readonly stats: readonly TraceStatistic[];
  /** Null for every call, in a step or not. */
  readonly steps: ReadonlySet<number> | null;
  readonly output: string;
  readonly mode: "append" | "new";
  readonly fsync: boolean;
  readonly header: boolean;
  readonly fileHash: boolean;
  readonly inputs: boolean;
  readonly labels: LabelMap;
}

const OPTIONS: readonly string[] = [
  "enabled",
  "layers",
  "select",
  "stats",
  "steps",
  "output",
  "mode",
  "fsync",
  "header",
  "fileHash",
  "inputs",
  "labels",
  "name",
] satisfies (keyof ActivationTraceOptions)[];
const DEFAULT_NAME = "activation-trace";
const DEFAULT_STATS = "abs_mean,sum";
const DEFAULT_OUTPUT = "<tmp>/hookline_trace_<pid>.jsonl";

/**
 * Checks the options and fills in the defaults.
 *
 * @throws {HooklineError} OPTION_INVALID for an unknown option, an unknown or repeated statistic, a step that is no whole
 * number, a list without any, or `layers` together with `select`.
 */
export function resolveOptions(options: ActivationTraceOptions): TraceSettings {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (unknown !== undefined) {
    throw invalid(
      unknown.slice(0, 80),
      "there is no such option",
      `use some of ${OPTIONS.join(", ")}`,
    );
  }
  for (const name of ["layers", "output", "name"] as const) {
    const value: unknown = options[name];
    if (value === undefined || typeof value === "string") continue;
    throw invalid(
      name,
      `found a value of type ${typeof value}`,
      `give ${name} as text, or leave it out`,
    );
  }
  if (options.select !== undefined && (options.layers ?? "") !== "") {
    throw invalid("layers and select", "both say which modules to trace", "give one of them");
  }
  const { labels = {}, inputs = false } = options;
  return Object.freeze({
    name: options.name ?? DEFAULT_NAME,
    selector: options.select ?? layersSelector(options.layers),
    stats: Object.freeze(parseStats(options.stats ?? "")),
    steps: parseSteps(options.steps ?? ""),
    output: options.output === undefined || options.output === "" ? DEFAULT_OUTPUT : options.output,
    mode: options.mode ?? "append",
    fsync: options.fsync ?? false,
    header: options.header ?? true,
    fileHash: options.fileHash ?? false,
    inputs,
    labels,
  });
}

/** A bare expression becomes a selector; one in slashes, flags and all, is one. */
function layersSelector(layers: string | undefined): string | null {
  if (layers === undefined || layers === "") return null;
  // A dotted path holds no slash, so an expression that begins with one cannot be meant bare.
  return /^\/.*\/[a-z]*$/s.test(layers) ? layers : `/${layers}/`;
}

function parseStats(stats: string | readonly string[]): TraceStatistic[] {
  const isText = typeof stats === "string";
  const asked = isText && stats.trim() === "" ? DEFAULT_STATS : stats;
  const names = typeof asked === "string" ? split(asked) : [...asked];
  if (names.length === 0) {
    throw invalid("stats", `"${String(stats)}" names none`, `name some of ${known()}`);
  }
  const seen = new Set<string>();
  for (const name of names) {
    if (!Object.hasOwn(TRACE_STATISTICS, name)) {
      throw invalid(
        "stats",
        `there is no statistic "${String(name).slice(0, 80)}"`,
        `use some of ${known()}`,
      );
    }
    if (seen.has(name)) throw invalid("stats", `"${name}" is named twice`, "name it once");
    seen.add(name);
  }
  return names as TraceStatistic[];
}

function parseSteps(steps: string | readonly number[]): ReadonlySet<number> | null {
  if (typeof steps === "string" && steps.trim() === "") return null;
  const items = typeof steps === "string" ? split(steps) : steps;
  const fix = 'give whole numbers, such as "0,5,10", or leave steps out to record every call';
  if (items.length === 0) throw invalid("steps", `"${String(steps)}" names no step`, fix);
  return new Set(items.map((item) => {
    const step = typeof item === "number" ? item : /^[+-]?\d+$/.test(item) ? Number(item) : NaN;
    if (Number.isSafeInteger(step)) return step + 0;
    throw invalid("steps", `"${String(item).slice(0, 80)}" is no whole number`, fix);
  }));
}

function split(text: string): string[] {
  return text.split(",").map((item) => item.trim()).filter((item) => item !== "");
}

function known(): string {
  return Object.keys(TRACE_STATISTICS).join(", ");
}

/** OPTION_INVALID for one option of a trace. */
export function invalid(option: string, found: string, fix: string): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: `cannot trace activations with these ${option}: ${found}`,
    fix,
    details: { option },
  });
}
