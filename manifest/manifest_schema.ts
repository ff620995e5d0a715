// The one source of what a plugin.json may say. The JSON Schema that editors read is generated from it
// (a test holds manifest/plugin.schema.json current), and the exported interface is held equal to it by a
// type. It reads no file; rules that span several fields are in manifest_rules.ts.

import * as v from "valibot";
import type { PluginManifest } from "./plugin_manifest.ts";

/** The grammar of plugin and hook names; maps from text to values cannot hold the two names left out. */
export const NAME_PATTERN: RegExp =
  /^(?!(constructor|prototype)$)[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$/;
const HASH_PATTERN = /^sha256-[A-Za-z0-9+/]{43}=$/;
// Control and direction characters, with which a reason could rewrite what a terminal shows of a grant.
const HIDDEN = String.raw`\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff`;
const TEXT_PATTERN = new RegExp(`^(?=.*\\S)[^${HIDDEN}]+$`);
const PATH_PART = String.raw`(?!\.\.?(\/|$))[^/\\${HIDDEN}]+`;
const PATH_PATTERN = new RegExp(`^\\.\\/${PATH_PART}(\\/${PATH_PART})*$`);
const GRANT_PATH_PATTERN = new RegExp(
  String.raw`^(?!(.*[\\/])?\.\.([\\/]|$))[^${HIDDEN}]+$`,
);
const VARIABLE_PATTERN = /^[A-Za-z_][A-Za-z0-9_]*\*?$/;
const HOST_PATTERN = /^[A-Za-z0-9.-]+(:[0-9]{1,5})?$|^\[[0-9a-fA-F:]+\](:[0-9]{1,5})?$/;

const name = v.pipe(v.string(), v.regex(NAME_PATTERN));
const text = (limit: number) =>
  v.pipe(
    v.string(),
    v.maxLength(limit),
    v.regex(TEXT_PATTERN, "text that is not blank and holds no control characters"),
  );
const globs = v.pipe(v.array(text(500)), v.minLength(1), v.maxLength(1000));
const names = v.optional(v.array(name), []);
const texts = v.optional(v.array(text(200)), []);
/** JSON can write numbers that are infinite here, and a timer takes no more than 32 bits. */
const atMost = (limit: number) => v.pipe(v.number(), v.minValue(0), v.maxValue(limit));
const byteCount = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2 ** 40));
const reason = v.pipe(
  text(500),
  v.description("Why the plugin needs it; shown to whoever grants it"),
);

const permission = v.variant("id", [
  v.strictObject({
    id: v.literal("read-activations"),
    level: v.picklist(["shape", "stats", "values"]),
    modules: globs,
    reason,
  }),
  v.strictObject({
    id: v.literal("write-activations"),
    modules: globs,
    shape: v.optional(v.picklist(["preserve", "any"]), "preserve"),
    reason,
  }),
  v.strictObject({ id: v.picklist(["replace-forward", "skip-forward"]), modules: globs, reason }),
  v.strictObject({
    id: v.picklist(["read-inputs", "read-outputs"]),
    tensors: v.pipe(v.array(text(500)), v.minLength(1)),
    reason,
  }),
  v.strictObject({ id: v.literal("manage-residency"), reason }),
  v.strictObject({
    id: v.picklist(["fs-read", "fs-write"]),
    paths: v.pipe(
      v.array(v.pipe(v.string(), v.maxLength(1000), v.regex(GRANT_PATH_PATTERN))),
      v.minLength(1),
      v.description(
        "Files or folders; $OUT is the folder that the application gives, $PLUGIN the plugin's own",
      ),
    ),
    reason,
  }),
  v.strictObject({
    id: v.literal("env"),
    names: v.pipe(v.array(v.pipe(v.string(), v.regex(VARIABLE_PATTERN))), v.minLength(1)),
    reason,
  }),
  v.strictObject({
    id: v.literal("net"),
    hosts: v.pipe(v.array(v.pipe(v.string(), v.regex(HOST_PATTERN))), v.minLength(1)),
    reason,
  }),
]);

const match = v.strictObject({
  modules: v.pipe(globs, v.description("Globs of the paths of the modules to hook")),
  exclude: v.pipe(texts, v.description("Globs of modules among them to leave alone")),
  eps: v.pipe(
    texts,
    v.description("Execution providers that the plugin works with; empty for all"),
  ),
  dtypes: v.pipe(texts, v.description("Dtypes that the plugin works with; empty for all")),
});

const order = v.strictObject({
  before: v.pipe(
    names,
    v.description("Plugins that stand inside this one; absent ones are ignored"),
  ),
  after: v.pipe(
    names,
    v.description("Plugins that stand outside this one; absent ones are ignored"),
  ),
  requires: v.pipe(names, v.description("Plugins that must be there")),
});

const budgets = v.strictObject({
  msPerCall: v.pipe(
    v.exactOptional(atMost(2 ** 31 - 1)),
    v.description("Time of one call of one method, in milliseconds"),
  ),
  retainedBytes: v.pipe(v.exactOptional(byteCount), v.description("Bytes kept between calls")),
  outputBytes: v.pipe(v.exactOptional(byteCount), v.description("Bytes written to files")),
});

const engines = v.strictObject({
  deno: v.exactOptional(text(100)),
  node: v.exactOptional(text(100)),
  "onnxruntime-node": v.exactOptional(text(100)),
});

const tolerance = v.strictObject({
  atol: atMost(Number.MAX_VALUE),
  rtol: atMost(Number.MAX_VALUE),
});

const manifest = v.pipe(
  v.strictObject({
    $schema: v.exactOptional(v.string()),
    manifestVersion: v.literal(1),
    name: v.pipe(name, v.description("The plugin's name, by which its hooks are ordered")),
    version: v.pipe(text(100), v.description("The plugin's version, semver")),
    apiVersion: v.pipe(text(100), v.description("Versions of the hook API, a semver range")),
    engines: v.pipe(
      v.optional(engines, {}),
      v.description("Versions of runtimes and of ONNX Runtime, semver ranges"),
    ),
    description: text(500),
    license: v.pipe(text(100), v.description("SPDX identifier")),
    main: v.pipe(v.string(), v.regex(PATH_PATTERN), v.description("The module that is loaded")),
    factory: v.pipe(
      v.optional(v.nullable(v.pipe(v.string(), v.regex(/^[A-Za-z_$][\w$]*$/))), null),
      v.description(
        "Named export that makes the plugin; null when main exports a PluginModule by default",
      ),
    ),
    integrity: v.pipe(
      v.optional(
        v.nullable(
          v.record(
            v.pipe(v.string(), v.regex(PATH_PATTERN)),
            v.pipe(v.string(), v.regex(HASH_PATTERN)),
          ),
        ),
        null,
      ),
      v.description("Hash of each file; null for an unsigned plugin"),
    ),
    kind: v.picklist(["observer", "transformer", "replacer", "resident"]),
    hooks: v.pipe(
      v.array(
        v.picklist([
          "observe:raw",
          "observe:final",
          "pre",
          "post",
          "replace",
          "skip",
          "load",
          "unload",
          "error",
        ]),
      ),
      v.minLength(1),
      v.description("When its hooks run; exactly what the code implements"),
    ),
    match,
    order: v.optional(order, {}),
    permissions: v.array(permission),
    optionalPermissions: v.optional(v.array(permission), []),
    numerics: v.union([
      v.picklist(["transparent", "changes"]),
      v.strictObject({ tolerant: tolerance }),
    ]),
    determinism: v.optional(v.picklist(["deterministic", "nondeterministic"]), "deterministic"),
    budgets: v.optional(budgets, {}),
    state: v.optional(v.picklist(["none", "global", "per-context"]), "none"),
    concurrency: v.optional(
      v.picklist(["parallel-safe", "serial", "exclusive"]),
      "parallel-safe",
    ),
    isolation: v.pipe(
      v.optional(v.picklist(["inline", "worker", "process"]), "inline"),
      v.description("The least isolation that the plugin accepts"),
    ),
  }),
  v.title("Hookline plugin manifest"),
);

/** What the schema gives, without the reference to itself that editors want. */
type FromSchema = Omit<v.InferOutput<typeof manifest>, "$schema">;
type Mutable<T> = T extends readonly (infer Item)[] ? Mutable<Item>[]
  : T extends object ? { -readonly [Key in keyof T]: Mutable<T[Key]> }
  : T;
type Same<A, B> = [A, B] extends [B, A] ? true : never;
/** Fails to compile when the interface and the schema say different things. */
const SAME: Same<FromSchema, Mutable<PluginManifest>> = true;

/** One thing that is wrong in a manifest. */
export interface SchemaIssue {
  /** JSON Pointer to it. */
  readonly pointer: string;
  /** What was found and what was wanted. */
  readonly message: string;
}

/** The schema as the JSON Schema generator wants it. */
export function manifestSchema(): v.GenericSchema {
  return manifest;
}

/** The manifest with its defaults, or what is wrong with it, at least one thing. */
export function readSchema(
  value: unknown,
): { readonly manifest: PluginManifest } | { readonly issues: readonly SchemaIssue[] } {
  const result = v.safeParse(manifest, value);
  if (!result.success) return { issues: result.issues.map(issueOf) };
  const { $schema: _, ...fields } = result.output;
  return SAME && { manifest: deepFrozen(fields) as PluginManifest };
}

function issueOf(issue: v.BaseIssue<unknown>): SchemaIssue {
  const keys = (issue.path ?? []).map((item) => String(item.key));
  const pointer = visible(
    keys.map((key) => `/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`).join(""),
  );
  const shown = visible((issue.received ?? "").slice(0, 80));
  if (issue.expected === "never") return { pointer, message: "there is no such field" };
  if (issue.expected === JSON.stringify(keys.at(-1))) return { pointer, message: "it is missing" };
  // Messages of ours say what is wanted; valibot's own begin with "Invalid".
  const wanted = issue.message.startsWith("Invalid ") ? issue.expected : issue.message;
  return { pointer, message: `found ${shown}, wanted is ${wanted}` };
}

/** A file's own words as they may be shown on a terminal. */
function visible(text: string): string {
  return text.replaceAll(new RegExp(`[${HIDDEN}]`, "g"), "?");
}

function deepFrozen<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  for (const item of Object.values(value)) deepFrozen(item);
  return Object.freeze(value);
}
