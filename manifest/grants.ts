// What the application granted to its plugins: hookline.lock.json, kept by the application and never by a
// plugin. It reads and writes grants and makes new ones; what follows from them is resolve_rights.ts.

import { readFileSync, renameSync, writeFileSync } from "node:fs";
import process from "node:process";
import * as v from "valibot";
import { causeText } from "../errors/cause_text.ts";
import { HooklineError } from "../errors/hookline_error.ts";
import { LOCK_FILE } from "./effective_rights.ts";
import { hashFiles } from "./integrity.ts";
import { type PermissionId, withoutReason } from "./permission_scope.ts";
import type { Grant } from "./plugin_manifest.ts";
import type { PluginFolder } from "./read_manifest.ts";

/** What one plugin was granted. */
export interface PluginGrant {
  /** Where it was found: a folder or a specifier, as it was given; null when nobody said. */
  readonly source: string | null;
  /** The version that was looked at. */
  readonly version: string;
  /** sha256 of its manifest, in hex. */
  readonly manifestSha256: string;
  /** sha256 over its files, in hex; null when nobody looked at them. */
  readonly codeSha256: string | null;
  /** What it may do. */
  readonly granted: readonly Grant[];
  /** Permissions that it never gets, whatever is granted. */
  readonly denied: readonly PermissionId[];
  /** When, ISO 8601. */
  readonly grantedAt: string;
  /** By whom. */
  readonly grantedBy: string;
}

/** The grants of an application. */
export interface Grants {
  /** Version of the file's form. */
  readonly version: 1;
  /** By plugin name. */
  readonly plugins: Readonly<Record<string, PluginGrant>>;
}

/** Nothing granted. */
export const NO_GRANTS: Grants = Object.freeze({ version: 1, plugins: Object.freeze({}) });

const list = v.array(v.string());
const grant = v.variant("id", [
  v.strictObject({
    id: v.literal("read-activations"),
    level: v.picklist(["shape", "stats", "values"]),
    modules: list,
  }),
  v.strictObject({
    id: v.literal("write-activations"),
    modules: list,
    shape: v.picklist(["preserve", "any"]),
  }),
  v.strictObject({ id: v.picklist(["replace-forward", "skip-forward"]), modules: list }),
  v.strictObject({ id: v.picklist(["read-inputs", "read-outputs"]), tensors: list }),
  v.strictObject({ id: v.literal("manage-residency") }),
  v.strictObject({ id: v.picklist(["fs-read", "fs-write"]), paths: list }),
  v.strictObject({ id: v.literal("env"), names: list }),
  v.strictObject({ id: v.literal("net"), hosts: list }),
]);
const IDS = [
  "read-activations",
  "write-activations",
  "replace-forward",
  "skip-forward",
  "read-inputs",
  "read-outputs",
  "manage-residency",
  "fs-read",
  "fs-write",
  "env",
  "net",
] as const satisfies readonly PermissionId[];
const grants = v.strictObject({
  version: v.literal(1),
  plugins: v.record(
    v.string(),
    v.strictObject({
      source: v.nullable(v.string()),
      version: v.string(),
      manifestSha256: v.string(),
      codeSha256: v.nullable(v.string()),
      granted: v.array(grant),
      denied: v.array(v.picklist(IDS)),
      grantedAt: v.string(),
      grantedBy: v.string(),
    }),
  ),
});

/** Every permission that there is. */
export const PERMISSION_IDS: readonly PermissionId[] = IDS;

/**
 * Reads a file of grants; a file that does not exist grants nothing.
 *
 * @throws {HooklineError} GRANTS_INVALID when it is damaged, FILE_READ when it cannot be read.
 */
export function readGrants(path: string = LOCK_FILE): Grants {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const code = (cause as { readonly code?: string }).code;
    if (code === "ENOENT" || (cause as Error).name === "NotFound") return NO_GRANTS;
    throw new HooklineError("FILE_READ", {
      message: `cannot read the grants "${path}": ${causeText(cause)}`,
      fix: "check the file and the process's read permission",
      details: { file: path },
      cause,
    });
  }
  return parseGrants(text, path);
}

function parseGrants(text: string, path: string): Grants {
  const fault = (found: string, cause?: unknown): HooklineError =>
    new HooklineError("GRANTS_INVALID", {
      message: `cannot use the grants "${path}": ${found}`,
      fix: `restore the file, or remove it and run \`hookline plugin grant\` again`,
      details: { file: path },
      cause,
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw fault(`no JSON: ${causeText(cause)}`, cause);
  }
  const result = v.safeParse(grants, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw fault(`at ${v.getDotPath(issue) ?? "its top"} ${issue.message.slice(0, 200)}`);
}

/**
 * Writes a file of grants, whole or not at all.
 *
 * @throws {HooklineError} FILE_WRITE.
 */
export function writeGrants(grants: Grants, path: string = LOCK_FILE): void {
  const plugins = Object.fromEntries(
    Object.entries(grants.plugins).sort(([left], [right]) => left < right ? -1 : 1),
  );
  const draft = `${path}.${process.pid}.part`;
  try {
    writeFileSync(draft, `${JSON.stringify({ version: 1, plugins }, null, 2)}\n`);
    renameSync(draft, path);
  } catch (cause) {
    throw new HooklineError("FILE_WRITE", {
      message: `cannot write the grants "${path}": ${causeText(cause)}`,
      fix: "check the folder, that you may write there, and the process's write permission",
      details: { file: path },
      cause,
    });
  }
}

/** How {@linkcode grantRequested} grants. */
export interface GrantOptions {
  /** Permissions to deny, whatever is granted. */
  readonly deny?: readonly PermissionId[];
  /** Whether optional permissions are granted as well; false by default. */
  readonly withOptional?: boolean;
  /** Where the plugin was found, for `hookline plugin list`. */
  readonly source?: string;
  /** Who grants; `"application"` by default. */
  readonly by?: string;
  /** When, ISO 8601; now by default. */
  readonly at?: string;
}

/**
 * Grants beside `before`: all that the plugin asks for, but what is denied. It vouches for the plugin's
 * files as they are now.
 */
export function grantRequested(
  folder: PluginFolder,
  before: Grants = NO_GRANTS,
  options: GrantOptions = {},
): Grants {
  const { deny = [], withOptional = false, by = "application" } = options;
  const { manifest } = folder;
  const asked = [...manifest.permissions, ...(withOptional ? manifest.optionalPermissions : [])];
  const entry: PluginGrant = {
    source: options.source ?? null,
    version: manifest.version,
    manifestSha256: folder.manifestSha256,
    codeSha256: hashFiles(folder.root, manifest.name).codeSha256,
    granted: asked.filter(({ id }) => !deny.includes(id)).map(withoutReason),
    denied: [...new Set(deny)].sort(),
    grantedAt: options.at ?? new Date().toISOString(),
    grantedBy: by,
  };
  return { version: 1, plugins: { ...before.plugins, [manifest.name]: entry } };
}
